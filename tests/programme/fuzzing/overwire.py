"""The second level: answers served by a raw server to the real endpoint over loopback, settled, and stored in SQLite."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.token_endpoint import HttpTokenEndpoint
from refreshd.domain.credential import ClientName
from refreshd.domain.outcome import Outcome, Refreshed
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from refreshd.domain.transition import Transition
from refreshd.ports.store import Attempt
from tests.contract.stores import POLICY
from tests.fakes import FakeClock
from tests.integration.raw_server import RawRequest, RawServer
from tests.programme.fuzzing import promises
from tests.programme.fuzzing.answers import Case, case
from tests.programme.fuzzing.arrival import either, interrupted, perhaps, tokens_of
from tests.programme.fuzzing.bench import ROWS, Bench, placed
from tests.programme.fuzzing.bodies import CAP
from tests.programme.fuzzing.chance import Chance
from tests.programme.fuzzing.framing import Certainty, Ending, Script, answer, script
from tests.programme.fuzzing.inside import Judged, client_of
from tests.programme.fuzzing.judge import UNCERTAIN, Reading, judge
from tests.programme.fuzzing.legible import unpacked
from tests.programme.fuzzing.states import KINDS, NOW, SENT_AT, STATES
from tests.programme.fuzzing.tally import Tally

SLACK = 3.0  # of a busy machine, beyond the deadline
_AT_ONCE = 16  # of those with a short deadline: what they wait for must be theirs, not their neighbours'
_AGAIN = 1 << 47  # marks the request that follows a late answer
_NAMES = tuple(name for names in KINDS for name in names)
_COUNTED = {
    "length too long": "cut on the wire",
    "cut off": "cut on the wire",
    "broken chunks": "cut on the wire",
    "length too short": "bytes behind",
    "bytes behind": "bytes behind",
    "late answer": "late answers",
    "interim answers": "interim answers",
    "broken head": "broken heads",
    "big head": "broken heads",
}
_MAIN, _LATE = ClientName("acme"), ClientName("late")


class Wire:
    """An async context manager: server, endpoint and store, used for any number of batches."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._stack = AsyncExitStack()
        self._scripts: dict[int, Script] = {}
        self._over = asyncio.Event()
        self._alone = asyncio.Lock()
        self._said_more = asyncio.Event()
        self._problems: list[str] = []

    async def __aenter__(self) -> Self:
        self._server = await self._stack.enter_async_context(RawServer(self._answer))
        client = client_of(case(0, 0).planted)
        connections = await self._stack.enter_async_context(
            Connections([client, replace(client, name=_LATE)], limit=ROWS, user_agent="fuzz")
        )
        self._endpoint = HttpTokenEndpoint(connections, clock=FakeClock(NOW))
        asyncio.get_running_loop().set_exception_handler(self._complain)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def serve(self, seed: int, indexes: Sequence[int], tally: Tally) -> None:
        """Serve these cases; the quick ones together, then those that end by their deadline."""
        cases = [_framed(seed, index) for index in indexes]
        self._scripts = {one.index: how for one, how in cases}
        self._server.requests.clear()
        self._server.received = b""
        self._over = asyncio.Event()
        quick = [pair for pair in cases if not pair[1].slow]
        slow = [pair for pair in cases if pair[1].slow]
        few = [slow[at : at + _AT_ONCE] for at in range(0, len(slow), _AT_ONCE)]
        asked = [await asyncio.gather(*(self._ask(one, how, tally) for one, how in part)) for part in (quick, *few)]
        self._over.set()
        await self.store([judged for part in asked for judged in part if judged is not None], tally)
        if self._problems:
            tally.blame(cases[0][0], [f"somewhere in the batch that begins here: {text}" for text in self._problems])
            self._problems = []

    async def _ask(self, one: Case, how: Script, tally: Tally) -> Judged | None:
        tally.done += 1
        began = time.monotonic()
        try:
            async with asyncio.timeout(how.seconds + SLACK):
                outcome = await self._outcome(one, how)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is the finding
            tally.blame(one, [f"{how.name}: raised {exc!r} after {time.monotonic() - began:.1f} s"])
            return None
        judged = _judged(one, how, outcome)
        tally.count(one, how.body, judged.body, judged.reading, outcome)
        tally.counts["over the wire"] += 1
        if how.name in _COUNTED:
            tally.counts[_COUNTED[how.name]] += 1
        broken = promises.of_outcome(judged.reading, outcome)
        tally.blame(
            one, [f"{how.name}, {how.ending}, {how.certainty}, {how.segments!r:.300}: {text}" for text in broken]
        )
        return judged

    async def _outcome(self, one: Case, how: Script) -> Outcome:
        if not how.later:
            return await self._refresh(one, _MAIN, one.index, how.seconds)
        async with self._alone:
            outcome = await self._refresh(one, _LATE, one.index, how.seconds)
            await self._said_more.wait()
            self._said_more.clear()
            await asyncio.sleep(0.02)  # what was said more crosses the loopback
            self._scripts[one.index + _AGAIN] = _next(one)
            following = await self._refresh(one, _LATE, one.index + _AGAIN, how.seconds)
        token = following.refresh_token if isinstance(following, Refreshed) else None
        if token != Secret(_own(one)):
            raise AssertionError(f"the next request came to {following!r}: {token.reveal() if token else token!r}")
        return outcome

    async def _refresh(self, one: Case, name: ClientName, number: int, seconds: float) -> Outcome:
        client = replace(client_of(one.planted, f"{self._server.url}/{number}", seconds), name=name)
        return await self._endpoint.refresh(client, Secret(one.planted.presented), "offline", may_send=lambda: True)

    async def _answer(self, request: RawRequest, writer: asyncio.StreamWriter) -> None:
        how = self._scripts[int(request.line.split()[1].rpartition("/")[2])]
        for data, pause in how.segments:
            writer.write(data)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)
        if how.later:
            await asyncio.sleep(0.01)
            writer.write(how.later)
            self._said_more.set()
        match how.ending:
            case Ending.CLOSE:
                writer.close()
            case Ending.RESET:
                writer.transport.abort()
            case Ending.HANG:
                await self._over.wait()
                writer.close()
            case Ending.KEEP:
                await writer.drain()

    async def store(self, asked: Sequence[Judged], tally: Tally) -> None:
        """Settle what was asked, each from another state, and commit it."""
        attempts = await self._bench.claim(len(asked))
        settled: list[tuple[Judged, Attempt, Transition]] = []
        for judged, claimed in zip(asked, attempts, strict=True):
            name = _NAMES[judged.case.index // 50 % len(_NAMES)]
            attempt = placed(claimed, STATES[name])
            try:
                settled.append((judged, attempt, self._settle(judged, name, attempt, tally)))
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is the finding
                tally.blame(judged.case, [f"{name}: raised {exc!r}"])
        verdicts = await self._bench.commit([(attempt, made) for _, attempt, made in settled])
        for (judged, _, _), broken in zip(settled, verdicts, strict=True):
            tally.counts["stored"] += 1
            tally.blame(judged.case, broken)

    def _settle(self, judged: Judged, name: str, attempt: Attempt, tally: Tally) -> Transition:
        one, outcome = judged.case, judged.outcome
        made = settle(attempt.credential, outcome, POLICY, sent_at=SENT_AT, now=NOW, draw=0.5)
        broken = promises.of_transition(name, attempt.credential, judged.reading, outcome, made)
        broken += promises.of_row(self._bench.codec, attempt, made)
        broken += promises.of_secrets(one.planted, one.secrets, outcome, made, damaged=one.damaged)
        tally.blame(one, broken)
        return made

    def _complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._problems.append(f"{context.get('message')}: {context.get('exception')!r}")


def _framed(seed: int, index: int) -> tuple[Case, Script]:
    chance = Chance(seed, index)
    one = case(seed, index, chance)
    return one, script(chance, one)


def _judged(one: Case, how: Script, outcome: Outcome) -> Judged:
    headers = dict(one.headers)
    body = unpacked(headers, how.body)
    return Judged(case=one, body=body, reading=_reading(one.status, headers, body, how), outcome=outcome)


def _reading(status: int, headers: dict[str, str], body: bytes, how: Script) -> Reading:
    reading, certainty = judge(status, headers, body, now=NOW), how.certainty
    if len(body) > CAP:  # read to the cap, or to the end of what came with it; what is wrong behind may not be seen
        reading = either(judge(status, headers, body[:CAP], now=NOW), reading)
        certainty = Certainty.TOKENS if certainty is Certainty.PART else certainty
    if how.beyond is not None:
        reading = either(reading, judge(status, headers, unpacked(headers, how.beyond), now=NOW))
    match certainty:
        case Certainty.WHOLE:
            return reading
        case Certainty.TOKENS:
            return tokens_of(status, reading, body)
        case Certainty.PART:
            return interrupted(status, reading, body)
        case Certainty.PERHAPS:
            return perhaps(reading)
        case Certainty.NOTHING:
            return Reading(permitted=frozenset({UNCERTAIN}))


def _own(one: Case) -> str:
    return f"own-{one.index}"


def _next(one: Case) -> Script:
    body = f'{{"access_token":"a","token_type":"bearer","refresh_token":"{_own(one)}"}}'.encode()
    return Script(name="the next answer", segments=((answer(body), 0.0),), body=body)
