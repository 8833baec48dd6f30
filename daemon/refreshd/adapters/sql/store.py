"""The daemon's store. Each public method is one short transaction on the writing or the reading thread."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, cast
from uuid import uuid4

from sqlalchemy import Connection, CursorResult, RowMapping, bindparam, delete, insert, select, update

from refreshd.adapters.sql import deadlines, statements
from refreshd.adapters.sql.engine import SqlEngines
from refreshd.adapters.sql.figures import count
from refreshd.adapters.sql.rows import RowCodec, credential_of, encode_events
from refreshd.adapters.sql.schema import PENDING, Instant, client_fact, credential, to_micros
from refreshd.adapters.sql.thread import StoreThread
from refreshd.domain.credential import AttemptId, ClientName, CredentialId, Health, Reason
from refreshd.domain.events import CredentialHeld, ReloginSoon, StreamEvent
from refreshd.domain.figures import Figures
from refreshd.domain.settle import Transition
from refreshd.ports.publisher import Snapshot
from refreshd.ports.sealer import Undecryptable
from refreshd.ports.store import Attempt, Capacity, Claims, Committed, Conflict, StoreUnavailable

c = credential.c


@dataclass(frozen=True, slots=True, kw_only=True)
class _Commit:
    attempt: Attempt
    transition: Transition
    now: datetime


_Batch = list[tuple[_Commit, asyncio.Future[Committed | Conflict]]]


class SqlStore:
    """`Store` on SQLAlchemy Core. `owner` names this process in the attempts that it opens."""

    def __init__(self, engines: SqlEngines, codec: RowCodec, *, owner: str) -> None:
        self._engines = engines
        self._codec = codec
        self._owner = owner
        self._writer = StoreThread(engines.write, "store-write")
        self._reader = StoreThread(engines.read, "store-read")
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
            found = 0
            for client, delay in settle_delays.items():
                statement = statements.recover(to_micros(delay), client=client)
                found += _rowcount(connection, statement, {"now": now})
            rest = statements.recover(to_micros(longest), client=None, known=tuple(settle_delays))
            return found + _rowcount(connection, rest, {"now": now})

        return await self._writer.run(work)

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
        return await self._writer.run(lambda connection: self._claim(connection, now, able, total, holding))

    async def commit(self, attempt: Attempt, transition: Transition, *, now: datetime) -> Committed | Conflict:
        result: asyncio.Future[Committed | Conflict] = asyncio.get_running_loop().create_future()
        self._waiting.append((_Commit(attempt=attempt, transition=transition, now=now), result))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_waiting(), name="store-commit")
        return await result

    async def release(self, attempt: Attempt) -> None:
        values = {"b_id": attempt.credential.id, "b_attempt_id": attempt.id}
        await self._writer.run(lambda connection: connection.execute(statements.RELEASE, values))

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
        for client, room in capacity.items():
            wanted = min(room.count, total - len(rows))
            for lane in statements.LANES:
                if wanted <= 0:
                    break
                values = {
                    "b_client": client,
                    "b_lane": lane,
                    "now": now,
                    "until": now + room.lease,
                    "count": wanted,
                    "owner": self._owner,
                    "batch": f"{uuid4().hex}/",
                    "holding": list(holding),
                }
                if room.probe:
                    values.pop("b_lane")
                taken = connection.execute(statements.claim(probe=room.probe), values).mappings().all()
                rows.extend(taken)
                wanted -= len(taken)
                if room.probe:
                    break
            if wanted <= 0:  # it got all it could take, or nothing was left for it
                more.add(client)
        return self._attempts(connection, rows, now, more=frozenset(more))

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
                held.append(_hold(connection, row, now))
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
        with connection.begin_nested() as together:
            if _rowcount(connection, statements.COMMIT, rows) == len(rows):
                return [Committed()] * len(rows)
            together.rollback()
        return [self._commit_alone(connection, one, row) for one, row in zip(commits, rows, strict=True)]

    @staticmethod
    def _commit_alone(connection: Connection, one: _Commit, row: dict[str, Any]) -> Committed | Conflict:
        """Fewer rows changed than were sent: find the losers in the same transaction, one by one."""
        if _rowcount(connection, statements.COMMIT, row) == 1:
            return Committed()
        before = one.attempt.credential
        family = connection.scalar(select(c.family).where(c.id == before.id, c.removed_at.is_(None)))
        return Conflict(earlier_login=family != before.family)


def _hold(connection: Connection, row: RowMapping, now: datetime) -> CredentialHeld:
    """This row's refresh token cannot be opened: it alone is set aside, untouched, until a person has seen to it."""
    connection.execute(
        update(credential)
        .where(c.id == bindparam("b_id"))
        .values(
            **statements.NO_ATTEMPT,
            health=Health.HELD.value,
            reason=Reason.UNDECRYPTABLE.value,
            next_attempt_at=None,
            revision=c.revision + 1,
            unpublished_events=c.unpublished_events.op("||")(encode_events((StreamEvent.HELD,))),
            updated_at=bindparam("at", type_=Instant),
        ),
        {"b_id": row["id"], "at": now},
    )
    return CredentialHeld(id=row["id"], client=row["client"], generation=row["generation"], reason=Reason.UNDECRYPTABLE)


def _fail(batch: _Batch, exc: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(exc)


def _rowcount(connection: Connection, statement: Any, values: Any) -> int:
    result = connection.execute(statement, values)
    return cast("CursorResult[Any]", result).rowcount  # execute() of an UPDATE or DELETE returns one
