"""The daemon's store. Each public method is one short transaction on the writing or the reading thread."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, cast
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, CursorResult, RowMapping, delete, insert, select, update

from refreshd.adapters.sql import clock, deadlines, history, holding, rescue, statements, storms
from refreshd.adapters.sql.engine import SqlEngines
from refreshd.adapters.sql.figures import count
from refreshd.adapters.sql.rows import RowCodec, credential_of, encode_events
from refreshd.adapters.sql.schema import PENDING, client_fact, credential, to_micros
from refreshd.adapters.sql.schema import store as store_table
from refreshd.adapters.sql.statements import Work
from refreshd.adapters.sql.thread import StoreThread
from refreshd.domain.credential import AttemptId, ClientName, CredentialId, Reason, lane_of
from refreshd.domain.events import CredentialHeld, ReloginSoon
from refreshd.domain.figures import Figures
from refreshd.domain.rescue import RescuedToken
from refreshd.domain.settle import Transition
from refreshd.domain.steps import Reached, Step, unobserved
from refreshd.domain.storm import Refusals
from refreshd.ports.publisher import Counters, Snapshot
from refreshd.ports.sealer import Undecryptable
from refreshd.ports.store import Attempt, Capacity, Claims, Committed, Conflict, StoreUnavailable

c = credential.c
STILL_IN_TIME = timedelta(seconds=2)
"""An access token with less life than one request takes is served as an expired one: it would die on the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Commit:
    attempt: Attempt
    transition: Transition
    now: datetime


_Batch = list[tuple[_Commit, asyncio.Future[Committed | Conflict]]]


class SqlStore:
    """`Store` on SQLAlchemy Core. `owner` names this process in the attempts that it opens."""

    def __init__(
        self, engines: SqlEngines, codec: RowCodec, *, owner: str, reached: Reached = unobserved, in_line: bool = False
    ) -> None:
        """`reached`: told of each step. `in_line`: no threads, for tests on virtual time."""
        self._engines = engines
        self._codec = codec
        self._owner = owner
        self._reached = reached
        self._writer = StoreThread(engines.write, "store-write", in_line=in_line)
        self._reader = StoreThread(engines.read, "store-read", in_line=in_line)
        self._waiting: _Batch = []
        self._committer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish what was handed over, then end the threads."""
        self._writer.close()
        self._reader.close()

    async def recover(self, *, now: datetime, settle_delays: Mapping[ClientName, timedelta]) -> int:
        longest = max(settle_delays.values(), default=timedelta(0))

        def work(connection: Connection) -> int:
            self._reached(Step.RECOVER_BEGUN)
            found = 0
            for client, delay in settle_delays.items():
                found += _doubt(connection, c.client == client, delay, now)
            found += _doubt(connection, c.client.not_in(list(settle_delays)), longest, now)
            self._reached(Step.RECOVER_WRITTEN)
            return found

        found = await self._writer.run(work)
        self._reached(Step.RECOVERED)
        return found

    async def claim_due(
        self,
        *,
        now: datetime,
        capacity: Mapping[ClientName, Capacity],
        total: int,
        holding: Collection[CredentialId],
    ) -> Claims:
        able = {client: room for client, room in capacity.items() if room.count > 0}
        if not able or total <= 0:
            return Claims(attempts=())
        peek = {"clients": list(able), "now": now}
        due = await self._reader.run(lambda connection: connection.execute(statements.FIRST_DUE, peek).first())
        if due is None:
            return Claims(attempts=())
        self._reached(Step.CLAIM_BEGUN)
        claims = await self._writer.run(lambda connection: self._claim(connection, now, able, total, holding))
        self._reached(Step.CLAIMED)
        return claims

    async def commit(self, attempt: Attempt, transition: Transition, *, now: datetime) -> Committed | Conflict:
        result: asyncio.Future[Committed | Conflict] = asyncio.get_running_loop().create_future()
        self._waiting.append((_Commit(attempt=attempt, transition=transition, now=now), result))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_waiting(), name="store-commit")
        return await result

    async def release(self, attempt: Attempt) -> None:
        free = replace(attempt.credential, next_attempt_at=attempt.started_at)
        values = {"b_id": free.id, "b_attempt_id": attempt.id, "set_lane": int(lane_of(free))}
        await self._writer.run(lambda connection: connection.execute(statements.RELEASE, values))

    async def hold(self, attempt: Attempt, found: Counters, *, now: datetime) -> CredentialHeld:
        before = attempt.credential
        held = CredentialHeld(
            id=before.id, client=before.client, generation=found.generation, reason=Reason.STORE_BEHIND
        )
        await self._writer.run(lambda connection: holding.behind(connection, attempt, found, now))
        return held

    async def rescued(self, attempt: Attempt) -> RescuedToken | None:
        return await self._reader.run(lambda connection: rescue.newest(connection, self._codec, attempt))

    async def refusals(self, client: ClientName, *, now: datetime) -> Refusals:
        return await self._reader.run(lambda connection: storms.refusals(connection, client, now))

    async def begin_storm(self, client: ClientName, *, now: datetime) -> None:
        await self._writer.run(lambda connection: storms.begin(connection, client, now))

    async def end_storm(self, client: ClientName, *, counts_from: datetime, now: datetime) -> bool:
        return await self._writer.run(lambda connection: storms.end(connection, client, counts_from, now))

    async def storms(self) -> frozenset[ClientName]:
        return await self._reader.run(storms.under_way)

    async def shift(self, by: timedelta) -> None:
        await self._writer.run(lambda connection: clock.shift(connection, by))

    async def take_keys(self) -> bool:
        asked = select(store_table.c.id).where(store_table.c.keys_adopted_at.is_not(None))
        if await self._reader.run(lambda connection: connection.execute(asked).first()) is None:
            return False
        granted = update(store_table).values(keys_adopted_at=None)
        await self._writer.run(lambda connection: connection.execute(granted))
        return True

    async def lift(self, found: Mapping[CredentialId, Counters]) -> None:
        if found:
            await self._writer.run(lambda connection: holding.lift(connection, found))

    async def unpublished(self, *, limit: int) -> Sequence[Snapshot]:
        return await self._snapshots(select(credential).where(PENDING).limit(limit))

    async def page(self, *, after: CredentialId | None, limit: int) -> Sequence[Snapshot]:
        query = select(credential).order_by(c.id).limit(limit)
        return await self._snapshots(query.where(c.id > after) if after is not None else query)

    async def mark_published(self, snapshots: Sequence[Snapshot]) -> None:
        rows = [
            {"b_id": item.id, "b_revision": item.revision, "spent": len(encode_events(item.events))}
            for item in snapshots
        ]
        if rows:
            await self._writer.run(lambda connection: connection.execute(statements.MARK_PUBLISHED, rows))

    async def warn_relogin(
        self, *, now: datetime, ladders: Mapping[ClientName, Sequence[timedelta]], limit: int
    ) -> Sequence[ReloginSoon]:
        near = await self._reader.run(lambda connection: deadlines.nearing(connection, now, ladders, limit))
        if not near:
            return ()
        return await self._writer.run(lambda connection: deadlines.step_up(connection, near, now))

    async def prove_sliding(
        self, client: ClientName, *, lifetime: timedelta, ladder: Sequence[timedelta], now: datetime
    ) -> None:
        def work(connection: Connection) -> None:
            if connection.execute(select(client_fact).where(client_fact.c.client == client)).first() is None:
                connection.execute(insert(client_fact).values(client=client, sliding_proven_at=now))
            deadlines.count_from_rotation(connection, client, lifetime=lifetime, ladder=ladder, now=now)

        await self._writer.run(work)

    async def figures(self, *, now: datetime) -> Figures:
        return await self._reader.run(lambda connection: count(connection, now))

    async def forget_removed(self, *, before: datetime) -> int:
        gone = (c.removed_at < before) & (c.published_revision >= c.revision)

        def work(connection: Connection) -> int:
            return _rowcount(connection, delete(credential).where(gone), {})

        any_gone = select(c.id).where(gone).limit(1)
        if await self._reader.run(lambda connection: connection.execute(any_gone).first()) is None:
            return 0
        return await self._writer.run(work)

    async def forget_history(self, *, after: CredentialId | None, limit: int, before: datetime) -> CredentialId | None:
        ids = await self._reader.run(lambda connection: history.next_ids(connection, after, limit))
        if ids:
            await self._writer.run(lambda connection: history.forget(connection, ids, before))
        return CredentialId(ids[-1]) if len(ids) == limit else None

    async def _snapshots(self, query: Any) -> Sequence[Snapshot]:
        def work(connection: Connection) -> Sequence[Snapshot]:
            return [self._codec.snapshot(row) for row in connection.execute(query).mappings()]

        return await self._reader.run(work)

    def _claim(
        self,
        connection: Connection,
        now: datetime,
        capacity: Mapping[ClientName, Capacity],
        total: int,
        holding: Collection[CredentialId],
    ) -> Claims:
        rows: list[RowMapping] = []
        more: set[ClientName] = set()
        held_back = list(holding)
        history.close_open(
            connection,
            statements.LAPSED,
            {"clients": list(capacity), "now": now, "holding": held_back},
            code="lease_ran_out",
        )
        for client, room in capacity.items():
            wanted = min(room.count, total - len(rows))
            values = {
                "b_client": client,
                "now": now,
                "until": now + room.lease,
                "owner": self._owner,
                "holding": held_back,
            }
            for work, most in _order_of_work(room):
                if wanted <= 0:
                    break
                values |= {"count": min(wanted, most), "batch": f"{uuid4().hex}/"}
                if work is Work.LIVING:
                    values |= {"horizon": now - room.horizon, "alive": now + STILL_IN_TIME}
                taken = connection.execute(statements.CLAIM[work], values).mappings().all()
                rows.extend(taken)
                wanted -= len(taken)
            if wanted <= 0:  # it got all it could take, or nothing was left for it
                more.add(client)
        claims = self._attempts(connection, rows, now, more=frozenset(more))
        self._reached(Step.CLAIM_WRITTEN)
        return claims

    def _attempts(
        self, connection: Connection, rows: Sequence[RowMapping], now: datetime, *, more: frozenset[ClientName]
    ) -> Claims:
        attempts: list[Attempt] = []
        held: list[CredentialHeld] = []
        for row in rows:
            before = credential_of(row)
            try:
                token = self._codec.refresh_token(row)
            except Undecryptable:
                held.append(holding.undecryptable(connection, row, now))
                continue
            attempts.append(
                Attempt(
                    id=AttemptId(row["attempt_id"]),
                    owner=self._owner,
                    credential=before,
                    refresh_token=token,
                    started_at=row["attempt_started_at"],
                    lease_until=row["lease_until"],
                )
            )
        return Claims(attempts=attempts, held=held, more=more)

    async def _commit_waiting(self) -> None:
        """Group commit: what arrived while the last transaction ran shares the next one; alone, nothing waits."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._commit_batch(batch)
            except StoreUnavailable as exc:
                _fail(batch, exc)
            except Exception as exc:  # noqa: BLE001 - whatever it is, no answer is dropped for it (protocol R6)
                await self._commit_each(batch, StoreUnavailable(type(exc).__name__))

    async def _commit_batch(self, batch: _Batch) -> None:
        results = await self._writer.run(partial(self._commit, commits=[commit for commit, _ in batch]))
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _commit_each(self, batch: _Batch, fault: StoreUnavailable) -> None:
        """One commit that cannot even be tried must not take its neighbours down."""
        for one in batch if len(batch) > 1 else ():
            try:
                await self._commit_batch([one])
            except Exception:  # noqa: BLE001 - told apart above; this one keeps its answer and asks again
                _fail([one], fault)
        _fail(batch, fault)

    def _commit(self, connection: Connection, commits: Sequence[_Commit]) -> Sequence[Committed | Conflict]:
        self._reached(Step.COMMIT_BEGUN)
        rows = [
            {
                "b_id": one.attempt.credential.id,
                "b_attempt_id": one.attempt.id,
                "b_generation": one.attempt.credential.generation,
                **self._codec.committed(one.attempt, one.transition, now=one.now),
            }
            for one in commits
        ]
        connection.execute(statements.COMMITTED_AT, {"at": commits[-1].now})
        results = self._compare_and_set(connection, commits, rows)
        entries = [
            history.log_outcome(one.attempt, one.transition, result, one.now)
            for one, result in zip(commits, results, strict=True)
        ]
        history.write(connection, entries)
        self._reached(Step.COMMIT_WRITTEN)
        return results

    def _compare_and_set(
        self, connection: Connection, commits: Sequence[_Commit], rows: Sequence[dict[str, Any]]
    ) -> Sequence[Committed | Conflict]:
        with connection.begin_nested() as together:
            if _rowcount(connection, statements.COMMIT, rows) == len(rows):
                for one in commits:
                    _spend_adopted(connection, one.transition)
                return [Committed()] * len(rows)
            together.rollback()
        return [self._commit_alone(connection, one, row) for one, row in zip(commits, rows, strict=True)]

    def _commit_alone(self, connection: Connection, one: _Commit, row: dict[str, Any]) -> Committed | Conflict:
        """Fewer rows changed than were sent: find the losers in the same transaction, and put their tokens aside."""
        if _rowcount(connection, statements.COMMIT, row) == 1:
            _spend_adopted(connection, one.transition)
            return Committed()
        before = one.attempt.credential
        family = connection.scalar(select(c.family).where(c.id == before.id, c.removed_at.is_(None)))
        if family != before.family:
            return Conflict(earlier_login=True)
        rescued = rescue.put_aside(connection, self._codec, one.attempt, one.transition, now=one.now)
        return Conflict(earlier_login=False, rescued=rescued)


def _order_of_work(room: Capacity) -> Sequence[tuple[Work, int]]:
    """Which classes are asked in turn, and for how many at most (protocol §4).

    Repetitions get their share before first attempts, and what is left after them.
    """
    if room.probe:
        return ((Work.PROBE, 1),)
    most = room.count
    return (
        (Work.IN_DOUBT, most),
        (Work.ENDING, most),
        *(((Work.RETRYING, room.retries),) if room.retries > 0 else ()),
        (Work.LIVING, most),
        (Work.ORDINARY, most),
        (Work.RETRYING, most),
        (Work.CONFIRMING, most),
    )


def _doubt(connection: Connection, whose: ColumnElement[bool], delay: timedelta, now: datetime) -> int:
    where = statements.OPEN_ATTEMPT & whose
    due_at = statements.settled(to_micros(delay))
    return history.close_open(connection, where, {"now": now}, code="process_ended", due_at=due_at)


def _spend_adopted(connection: Connection, transition: Transition) -> None:
    if transition.adopts is not None:
        rescue.spend(connection, transition.adopts)


def _fail(batch: _Batch, exc: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(exc)


def _rowcount(connection: Connection, statement: Any, values: Any) -> int:
    result = connection.execute(statement, values)
    return cast("CursorResult[Any]", result).rowcount  # execute() of an UPDATE or DELETE returns one
