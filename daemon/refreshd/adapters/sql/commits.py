"""Storing answers: a compare-and-set on attempt id and generation, in groups that share one transaction and one fsync."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, RowMapping, select

from refreshd.adapters.sql import history, rescue, revocations, statements
from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.schema import credential
from refreshd.adapters.sql.spooling import Spooling
from refreshd.adapters.sql.thread import StoreThread
from refreshd.domain.steps import Reached, Step
from refreshd.domain.transition import Transition
from refreshd.ports.sealer import Undecryptable
from refreshd.ports.store import Attempt, Committed, Conflict, StoreUnavailable

c = credential.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one attempt came to, on its way into the store."""

    attempt: Attempt
    transition: Transition
    now: datetime


_Waiting = tuple[Answer, asyncio.Future[Committed | Conflict]]
_Batch = list[_Waiting]


LINGER = 0.0003
LONGEST_LINGER = 0.010
"""Seconds that answers wait for company, for each one that has just been written together with others; and at most."""


class GroupCommit:
    """What arrives while a transaction runs, or shortly after one of several, shares the next one; alone, nothing waits."""

    def __init__(
        self,
        writer: StoreThread,
        codec: RowCodec,
        *,
        reached: Reached,
        spooling: Spooling | None = None,
        leave_sign: bool = True,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`leave_sign`: each commit is a sign of life of the store's one owner; several would wait for each other there."""
        self._spooling = spooling
        self._leave_sign = leave_sign
        self._writer = writer
        self._codec = codec
        self._reached = reached
        self._pause = pause
        self._waiting: _Batch = []
        self._being_written: _Batch = []
        self._held_back: _Batch | None = None
        self._stored: list[Attempt] = []
        self._committer: asyncio.Task[None] | None = None

    async def commit(self, answer: Answer) -> Committed | Conflict:
        """Raises `StoreUnavailable`, also for a bug of ours: the caller keeps the answer and asks again (protocol R6)."""
        result: asyncio.Future[Committed | Conflict] = asyncio.get_running_loop().create_future()
        if self._held_back is not None:
            self._held_back.append((answer, result))
        else:
            self._begin([(answer, result)])
        return await result

    @asynccontextmanager
    async def between(self) -> AsyncIterator[None]:
        """What is here now has been written or refused before the block begins; what comes meanwhile is written after it.

        If the block raises `StoreUnavailable`, so does each commit that came meanwhile, kept beside the store if that can be.
        """
        self._held_back = held_back = list[_Waiting]()
        try:
            if here := [result for _, result in (*self._being_written, *self._waiting)]:
                await asyncio.wait(here)
            yield
        except StoreUnavailable as exc:
            await self._keep_beside([answer for answer, _ in held_back])
            self._fail(held_back, exc)
            held_back = []
            raise
        finally:
            self._held_back = None
            self._begin(held_back)

    async def _keep_beside(self, answers: Sequence[Answer]) -> None:
        if self._spooling is not None and answers:
            with suppress(StoreUnavailable):
                await self._writer.run(lambda _connection: None, first=partial(self._keep, answers))

    def _begin(self, answers: _Batch) -> None:
        self._waiting += answers
        if self._waiting and (self._committer is None or self._committer.done()):
            self._committer = asyncio.create_task(self._commit_waiting(), name="store-commit")

    async def _commit_waiting(self) -> None:
        while self._waiting:
            self._being_written = batch = self._waiting
            self._waiting = []
            try:
                await self._commit_batch(batch)
            except StoreUnavailable as exc:
                self._fail(batch, exc)
            except Exception as exc:  # noqa: BLE001 - whatever it is, no answer is dropped for it
                await self._commit_each(batch, StoreUnavailable(type(exc).__name__))
            self._being_written = []
            if len(batch) > 1:
                await self._pause(min(LONGEST_LINGER, LINGER * len(batch)))

    async def _commit_batch(self, batch: _Batch) -> None:
        batch.sort(key=lambda one: one[0].attempt.credential.id)  # as all who lock several rows: nobody waits in a ring
        answers = [answer for answer, _ in batch]
        results = await self._writer.run(partial(self._write, answers=answers), first=partial(self._keep, answers))
        if self._spooling is not None:
            self._stored += [one.attempt for one in answers]
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _commit_each(self, batch: _Batch, fault: StoreUnavailable) -> None:
        """One commit that cannot even be tried must not take its neighbours down."""
        for one in batch if len(batch) > 1 else ():
            try:
                await self._commit_batch([one])
            except Exception:  # noqa: BLE001 - told apart above; this one keeps its answer and asks again
                self._fail([one], fault)
        self._fail(batch, fault)

    def _fail(self, batch: _Batch, fault: StoreUnavailable) -> None:
        for answer, future in batch:
            if not future.done():
                kept = self._spooling is not None and self._spooling.keeps(answer.attempt)
                future.set_exception(StoreUnavailable(str(fault), kept=kept))

    def _keep(self, answers: Sequence[Answer]) -> None:
        """Before the database is asked for anything: it may be away, or lose what it has committed."""
        if self._spooling is not None:
            stored, self._stored = self._stored, []
            self._spooling.settle(stored)
            self._spooling.keep([(one.attempt, one.transition, one.now) for one in answers])

    def _write(self, connection: Connection, answers: Sequence[Answer]) -> Sequence[Committed | Conflict]:
        self._reached(Step.COMMIT_BEGUN)
        rows = [
            {
                "b_id": one.attempt.credential.id,
                "b_attempt_id": one.attempt.id,
                "b_generation": one.attempt.credential.generation,
                **self._codec.committed(one.attempt, one.transition, now=one.now),
            }
            for one in answers
        ]
        if self._leave_sign:
            connection.execute(statements.SIGN_OF_LIFE, {"at": max(one.now for one in answers)})
        results = self._compare_and_set(connection, answers, rows)
        entries = [
            history.log_outcome(one.attempt, one.transition, result, one.now)
            for one, result in zip(answers, results, strict=True)
            if not (isinstance(result, Conflict) and result.earlier_login)
        ]
        history.write(connection, entries)
        self._reached(Step.COMMIT_WRITTEN)
        return results

    def _compare_and_set(
        self, connection: Connection, answers: Sequence[Answer], rows: Sequence[dict[str, Any]]
    ) -> Sequence[Committed | Conflict]:
        """If fewer rows changed than were sent, the losers are found in the same transaction, one by one.

        The savepoint is said by hand: SQLAlchemy compiles its own anew each time, for more than the rows cost.
        """
        connection.exec_driver_sql("SAVEPOINT together")
        if _rowcount(connection, rows) == len(rows):
            for one in answers:
                _spend_adopted(connection, one.transition)
            connection.exec_driver_sql("RELEASE SAVEPOINT together")
            return [Committed()] * len(rows)
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT together")
        return [self._write_alone(connection, one, row) for one, row in zip(answers, rows, strict=True)]

    def _write_alone(self, connection: Connection, one: Answer, row: dict[str, Any]) -> Committed | Conflict:
        if _rowcount(connection, row) == 1:
            _spend_adopted(connection, one.transition)
            return Committed()
        before = one.attempt.credential
        stored = connection.execute(
            select(c.id, c.family, c.generation, c.refresh_token)
            .where(c.id == before.id, c.removed_at.is_(None))
            .with_for_update()  # a removal or a new login under way decides what becomes of this answer
        )
        there = stored.mappings().first()
        if there is None or there["family"] != before.family:
            revoking = revocations.take_late_answer(
                connection, self._codec, before.id, before.family, one.transition.refresh_token, now=one.now
            )
            return Conflict(earlier_login=True, revoking=revoking)
        if history.was_committed(connection, one.attempt, one.transition) or (
            there["generation"] == before.generation + 1 and self._holds(there, one.transition)
        ):
            return Committed()  # asked again although it had been stored
        rescued = rescue.put_aside(connection, self._codec, one.attempt, one.transition, now=one.now)
        return Conflict(earlier_login=False, rescued=rescued)

    def _holds(self, row: RowMapping, transition: Transition) -> bool:
        try:
            return transition.refresh_token == self._codec.refresh_token(row)
        except Undecryptable:
            return False


def _spend_adopted(connection: Connection, transition: Transition) -> None:
    if transition.adopts is not None:
        rescue.spend(connection, transition.adopts)


def _rowcount(connection: Connection, values: Any) -> int:
    result = connection.execute(statements.COMMIT, values)
    return cast("CursorResult[Any]", result).rowcount  # execute() of an UPDATE returns one
