"""The daemon's store. Each public method is one short transaction on the writing or the reading thread."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Select, delete, func, or_, select, update

from refreshd.adapters.sql import (
    clock,
    deadlines,
    history,
    holds,
    provider_metadata,
    requests,
    rescue,
    statements,
    storms,
)
from refreshd.adapters.sql.claims import Claimer, give_back
from refreshd.adapters.sql.commits import Answer, GroupCommit
from refreshd.adapters.sql.engines import Engines
from refreshd.adapters.sql.failover import Failover
from refreshd.adapters.sql.figures import count
from refreshd.adapters.sql.lanes import due_lanes
from refreshd.adapters.sql.rows import RowCodec, encode_events
from refreshd.adapters.sql.schema import credential, to_micros
from refreshd.adapters.sql.schema import store as store_table
from refreshd.adapters.sql.spooling import Spooling
from refreshd.adapters.sql.thread import StoreThread, StoreThreads
from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.events import CredentialHeld, ReloginSoon
from refreshd.domain.figures import Figures
from refreshd.domain.requests import RefreshRequest, RequestLimits, Standings
from refreshd.domain.rescue import RescuedToken
from refreshd.domain.steps import Reached, Step, unobserved
from refreshd.domain.storm import Refusals
from refreshd.domain.transition import Transition
from refreshd.ports.publisher import Counters, Snapshot
from refreshd.ports.store import Attempt, Capacity, Claims, Committed, Conflict

c = credential.c
OTHERS = timedelta(seconds=3)
"""How long another daemon may take to show what it has committed, before we do it in its place."""


class SqlStore:
    """`Store` on SQLAlchemy Core. `owner` names this process in the attempts that it opens."""

    def __init__(
        self,
        engines: Engines,
        codec: RowCodec,
        *,
        owner: str,
        reached: Reached = unobserved,
        in_line: bool = False,
        failover: Failover | None = None,
        spooling: Spooling | None = None,
    ) -> None:
        """`reached`: told of each step. `in_line`: no threads, for tests on virtual time.

        `failover`, `spooling`: for a database of several, whose clock then decides what is due and when a lease ends.
        """
        self._engines = engines
        self._codec = codec
        self._reached = reached
        self._failover = failover
        lost = failover.lost if failover else lambda: None
        self._writer = StoreThread(engines.write, "store-write", in_line=in_line, on_lost=lost)
        self._reader = StoreThread(engines.read, "store-read", in_line=in_line)
        self._counter = StoreThread(engines.read, "store-count", in_line=in_line)  # a count of all rows takes long
        self._claimer = Claimer(codec, owner=owner, reached=reached)
        self._commits = GroupCommit(
            self._writer, codec, reached=reached, spooling=spooling, leave_sign=not engines.shared
        )
        self._fresh: dict[CredentialId, None] = {}
        self._more = False  # whether the last claim left work: then a transaction is worth it without a look first

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def threads(self) -> StoreThreads:
        return StoreThreads(writer=self._writer, reader=self._reader, counter=self._counter)

    def close(self) -> None:
        """Finish what was handed over, then end the threads."""
        self._writer.close()
        self._reader.close()
        self._counter.close()

    async def recover(self, *, now: datetime, settle_delays: Mapping[ClientName, timedelta]) -> int:
        micros = {str(client): to_micros(delay) for client, delay in settle_delays.items()}

        def work(connection: Connection) -> int:
            self._reached(Step.RECOVER_BEGUN)
            found = history.close_open(
                connection,
                statements.OPEN_ATTEMPT,
                {"now": now},
                code="process_ended",
                due_at=statements.settled(micros),
            )
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
        keys = self._codec.key_ids
        due = {} if self._more else await self._reader.run(lambda line: due_lanes(line, able, now, keys=keys))
        if not due and not self._more:
            return Claims(attempts=())
        self._reached(Step.CLAIM_BEGUN)

        def claim(connection: Connection) -> Claims:
            lanes = due or due_lanes(connection, able, now, keys=keys)
            return self._claimer.claim(
                connection,
                now=self._lease_time(connection, now),
                capacity=able,
                due=lanes,
                total=total,
                holding=holding,
            )

        claims = await self._writer.run(claim)
        self._more = bool(claims.more)
        self._reached(Step.CLAIMED)
        return claims

    async def commit(self, attempt: Attempt, transition: Transition, *, now: datetime) -> Committed | Conflict:
        verdict = await self._commits.commit(Answer(attempt=attempt, transition=transition, now=now))
        if self._engines.shared and transition.visible and isinstance(verdict, Committed):
            self._fresh[attempt.credential.id] = None
        return verdict

    async def release(self, attempt: Attempt) -> None:
        await self._writer.run(lambda connection: give_back(connection, attempt))

    async def hold(self, attempt: Attempt, found: Counters, *, now: datetime) -> CredentialHeld | None:
        return await self._writer.run(lambda connection: holds.behind(connection, attempt, found, now))

    async def overtake(
        self, found: Mapping[CredentialId, Counters], *, since: datetime | None, now: datetime
    ) -> Sequence[CredentialHeld]:
        return await self._writer.run(lambda connection: holds.overtake(connection, found, since=since, now=now))

    async def rescued(self, attempt: Attempt) -> RescuedToken | None:
        return await self._reader.run(lambda connection: rescue.newest(connection, self._codec, attempt))

    async def refusals(self, client: ClientName, *, now: datetime) -> Refusals:
        return await self._reader.run(lambda connection: storms.refusals(connection, client, now))

    async def begin_storm(self, client: ClientName, *, now: datetime) -> bool:
        return await self._writer.run(lambda connection: storms.begin(connection, client, now))

    async def end_storm(self, client: ClientName, *, counts_from: datetime, now: datetime, anew: bool) -> bool:
        return await self._writer.run(lambda connection: storms.end(connection, client, counts_from, now, anew=anew))

    async def storms(self) -> frozenset[ClientName]:
        return await self._reader.run(storms.under_way)

    async def shift(self, by: timedelta, *, starting: bool = False) -> None:
        def work(connection: Connection) -> None:
            seen = self._engines.time(connection) if self._failover else None
            clock.shift(connection, by, seen=seen, starting=starting and not self._engines.shared)

        async with self._commits.between():  # what was settled by the old time moves too
            await self._writer.run(work)

    async def touch(self, *, now: datetime) -> None:
        await self._writer.run(lambda connection: connection.execute(statements.SIGN_OF_LIFE, {"at": now}))

    async def may_take_keys(self, *, now: datetime) -> bool:
        asked = select(store_table.c.id).where(store_table.c.keys_adopted_at > now - holds.PERMISSION)
        return await self._reader.run(lambda connection: connection.execute(asked).first()) is not None

    async def keys_taken(self) -> None:
        await self._writer.run(lambda connection: connection.execute(update(store_table).values(keys_adopted_at=None)))

    async def lift(self, found: Mapping[CredentialId, Counters], *, now: datetime) -> None:
        if found:
            await self._writer.run(lambda connection: holds.lift(connection, found, now))

    async def unpublished(self, *, limit: int, but: Collection[CredentialId] = ()) -> Sequence[Snapshot]:
        """Among several daemons each shows what it committed itself, and what others have left lying for `OTHERS`."""
        most = {"most": limit + len(but)}
        if not self._engines.shared:
            return await self._snapshots(statements.UNPUBLISHED, most, but=but)
        ours = list(islice(self._fresh, limit))
        overdue = c.updated_at < func.extract("epoch", func.clock_timestamp()) * 1_000_000 - to_micros(OTHERS)
        pending = statements.UNPUBLISHED.where(or_(c.id.in_(ours), overdue))
        found = await self._snapshots(pending, most, but=but)
        cut_off = len(found) >= limit
        for name in ({one.id for one in found} if cut_off else set(ours)).difference(but):
            self._fresh.pop(name, None)  # what is not found was shown already
        return found

    async def page(self, *, after: CredentialId | None, limit: int) -> Sequence[Snapshot]:
        return await self._snapshots(statements.PAGE, {"after": after or "", "most": limit})

    async def mark_published(self, snapshots: Sequence[Snapshot]) -> None:
        rows = [
            {"b_id": item.id, "b_revision": item.revision, "spent": len(encode_events(item.events))}
            for item in sorted(snapshots, key=lambda one: one.id)
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
        await self._writer.run(
            lambda connection: deadlines.prove_sliding(connection, client, lifetime=lifetime, ladder=ladder, now=now)
        )

    async def standings(self, ids: Collection[CredentialId]) -> Standings:
        return await self._reader.run(lambda connection: requests.standings(connection, ids))

    async def take_request(self, request: RefreshRequest, *, limits: RequestLimits, now: datetime) -> bool:
        def work(connection: Connection) -> bool:
            return requests.take(connection, request, limits, lambda: self._time(connection, now))

        return await self._writer.run(work)

    async def figures(self, *, now: datetime) -> Figures:
        return await self._counter.run(lambda connection: count(connection, now))

    async def keep_metadata(self, issuer: str, document: str, *, now: datetime) -> None:
        await self._writer.run(lambda connection: provider_metadata.keep(connection, issuer, document, now))

    async def forget_removed(self, *, before: datetime) -> int:
        gone = (c.removed_at < before) & (c.published_revision >= c.revision)

        def work(connection: Connection) -> int:
            return connection.execute(delete(credential).where(gone)).rowcount

        any_gone = select(c.id).where(gone).limit(1)
        if await self._counter.run(lambda connection: connection.execute(any_gone).first()) is None:
            return 0
        return await self._writer.run(work)

    async def forget_history(self, *, after: CredentialId | None, limit: int, before: datetime) -> CredentialId | None:
        ids = await self._reader.run(lambda connection: history.next_ids(connection, after, limit))
        if ids:
            await self._writer.run(lambda connection: history.forget(connection, ids, before))
        return CredentialId(ids[-1]) if len(ids) == limit else None

    def _lease_time(self, connection: Connection, now: datetime) -> datetime:
        """Whose clock ends a lease: the database's, if several look at it."""
        found = self._engines.time(connection) if self._failover else None
        if found is None or self._failover is None:
            return now
        self._failover.check(found)
        return found.at

    def _time(self, connection: Connection, now: datetime) -> datetime:
        """The database's, if several look at it."""
        found = self._engines.time(connection) if self._failover else None
        return now if found is None else found.at

    async def _snapshots(
        self, query: Select[Any], values: Mapping[str, object], *, but: Collection[CredentialId] = ()
    ) -> Sequence[Snapshot]:
        """Not of what cannot be read here: shown without its token, it would count as shown."""
        values = {**values, "keys": self._codec.key_ids}

        def work(connection: Connection) -> Sequence[Snapshot]:
            rows = connection.execute(query, values)
            return [self._codec.snapshot(row) for row in rows.mappings() if row["id"] not in but]

        return await self._reader.run(work)
