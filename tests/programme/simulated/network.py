"""One provider and the network before it, without sockets: the ledger judges, `faults` says what befalls a request."""

import random
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

import orjson

from refreshd.demo.dialects import Reply
from refreshd.demo.faults import (
    DelayRequest,
    DripAnswer,
    DuplicateRequest,
    Ending,
    Fault,
    Faults,
    Latency,
    LoseAnswer,
    LoseRequest,
    OtherAnswer,
    TruncateAnswer,
)
from refreshd.demo.grants import Family
from refreshd.demo.ledger import Ledger
from refreshd.domain.token_response import Answer
from tests.programme.simulated.houses import House
from tests.programme.virtual_time import EPOCH, Timeline

EPOCH_SECONDS = EPOCH.timestamp()
KEEP = 4


class Broken(Exception):  # noqa: N818 - reads as what it says
    """The connection ended without an answer."""


@dataclass(slots=True, kw_only=True)
class Sending:
    """One request of the daemon, from its first byte on. Instants are the timeline's.

    `reached`: the grant check saw it; `granted`: it got tokens, `successor` the refresh token among them ("" if kept).
    `refused`: it was surely turned away before the grant check. `fault`: what we did to it. `answered`: the daemon learned
    what became of it; `ended_at`: when it learned that it will not. `stored`: what it brought is committed.
    """

    token: str
    credential: str
    claimed_at: float
    sent_at: float
    fault: str = ""
    reached: bool = False
    granted: bool = False
    refused: bool = False
    successor: str = ""
    answered: bool = False
    ended_at: float | None = None
    crashed: bool = False
    stored: bool = False
    rescued: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The grant check looked at a token. `was_alive`: its family, before. `sending` None: a duplicate of ours."""

    token: str
    granted: bool
    family: Family
    was_alive: bool
    sending: Sending | None


Judged = Callable[["Provider", Look], None]


@dataclass(slots=True)
class Way:
    """Whether and how fast a connection comes about now. `unreachable_until`: an outage that refuses connections."""

    unreachable_until: float = 0.0
    refused: float = 0.0
    slow: float = 0.0
    slowest: float = 100.0


@dataclass(kw_only=True)
class Provider:
    """`judged` is told of every look at a grant."""

    house: House
    timeline: Timeline
    loop: AbstractEventLoop
    chance: random.Random
    judged: Judged
    way: Way = field(default_factory=Way)

    def __post_init__(self) -> None:
        numbers = iter(range(10**12))
        self.ledger = Ledger(
            {self.house.name: ""}, self.house.rules, new_token=lambda: f"{self.house.name}-{next(numbers)}", keep=KEEP
        )
        self.faults = Faults(chance=self.chance)
        self.duplicates = 0

    @property
    def at(self) -> float:
        return self.timeline.now + EPOCH_SECONDS

    def connect(self) -> float | None:
        """How long connecting takes, None: it fails."""
        if self.timeline.now < self.way.unreachable_until or self.chance.random() < self.way.refused:
            return None
        slow = self.chance.random() < self.way.slow
        return self.chance.uniform(1.0, self.way.slowest) if slow else self.chance.uniform(0.005, 0.05)

    def receive(self, sending: Sending) -> "Future[Answer]":
        """The first byte has left. The future brings the answer, `Broken`, or nothing at all."""
        answer: Future[Answer] = self.loop.create_future()
        fault = self.faults.take(at=self.timeline.now, client_id=self.house.name)
        self.timeline.after(self.chance.uniform(0.02, 0.3), lambda: self._play(fault, sending, answer))
        return answer

    def present_again(self, token: str) -> None:
        """Somebody else, or a stuck proxy, presents a token behind the daemon's back."""
        self.duplicates += 1
        self._commit(token, None)

    def _play(self, fault: Fault | None, sending: Sending, answer: "Future[Answer]") -> None:
        if fault is not None and not isinstance(fault, Latency):
            sending.fault = type(fault).__name__
        match fault:
            case None:
                _give(answer, self._commit(sending.token, sending))
            case Latency():
                then = fault.then
                self.timeline.after(fault.low, lambda: self._play(then, sending, answer))
            case LoseRequest():
                sending.fault = "LoseRequest"
                self._break(answer, fault.ending, fault.after)
            case DelayRequest():
                self.timeline.after(fault.after, lambda: self._late(sending))
                self._break(answer, fault.ending, 0.0)
            case LoseAnswer():
                self._commit(sending.token, sending)
                self._break(answer, fault.ending, fault.after)
            case _:
                self._answer(fault, sending, answer)

    def _answer(
        self,
        fault: TruncateAnswer | DuplicateRequest | DripAnswer | OtherAnswer,
        sending: Sending,
        answer: "Future[Answer]",
    ) -> None:
        match fault:
            case TruncateAnswer():
                _give(answer, self._commit(sending.token, sending), cut=fault.at)
            case DuplicateRequest():
                self.timeline.after(fault.after, lambda: self.present_again(sending.token))
                _give(answer, self._commit(sending.token, sending))
            case DripAnswer():
                reply = self._commit(sending.token, sending)
                self.timeline.after(fault.pause * len(reply.body), lambda: _give(answer, reply))
            case OtherAnswer():
                if fault.commits:
                    self._commit(sending.token, sending)
                else:
                    sending.refused = True
                _give(answer, Reply(status=fault.status, body=fault.body, headers=fault.headers))
            case _:
                assert_never(fault)

    def _late(self, sending: Sending) -> None:
        """A request that lay in a proxy: as harmful as a duplicate once it was repeated."""
        self.duplicates += 1
        self._commit(sending.token, sending)

    def _commit(self, token: str, sending: Sending | None) -> Reply:
        family = self.ledger.family_of(token)
        if family is None:
            raise AssertionError("the daemon presented a token that was never issued")
        was_alive = family.alive
        reply = self.ledger.present(self.house.name, token, at=self.at)
        granted = reply.status == 200
        if sending is not None:
            sending.reached, sending.granted = True, granted
            if granted:
                sending.successor = orjson.loads(reply.body).get("refresh_token", "")
        self.judged(self, Look(token=token, granted=granted, family=family, was_alive=was_alive, sending=sending))
        return reply

    def _break(self, answer: "Future[Answer]", ending: Ending, after: float) -> None:
        if ending is not Ending.HANG:
            self.timeline.after(after, lambda: _end(answer))


def _give(answer: "Future[Answer]", reply: Reply, *, cut: int | None = None) -> None:
    if not answer.done():
        body = reply.body if cut is None else reply.body[:cut]
        answer.set_result(Answer(status=reply.status, headers=reply.headers, body=body, complete=cut is None))


def _end(answer: "Future[Answer]") -> None:
    if not answer.done():
        answer.set_exception(Broken())
