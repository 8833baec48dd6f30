"""`Replicas` as rows: who lives, and who keeps house, by the database's clock. A failing database knows nobody."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from refreshd.adapters.sql.database_clock import DatabaseClock
from refreshd.adapters.sql.engines import Engines
from refreshd.adapters.sql.failover import Failover
from refreshd.adapters.sql.migrate import schema_version
from refreshd.adapters.sql.schema import duty, replica
from refreshd.adapters.sql.spooling import Spooling
from refreshd.adapters.sql.statements import SIGN_OF_LIFE
from refreshd.adapters.sql.thread import StoreThread
from refreshd.ports.replicas import Standing
from refreshd.ports.sealer import Sealer

LIVING = timedelta(seconds=10)
"""Whoever was silent for longer has no share: five signs of life were missed."""
_DUTY = timedelta(seconds=15)
_FORGOTTEN = timedelta(hours=1)
_r, _d = replica.c, duty.c


class SqlReplicas:
    """This process among them, as `name`."""

    def __init__(
        self,
        engines: Engines,
        writer: StoreThread,
        *,
        name: str,
        sealer: Sealer,
        clock: DatabaseClock,
        failover: Failover,
        spooling: Spooling,
    ) -> None:
        self._engines = engines
        self._writer = writer
        self._name = name
        self._sealer = sealer
        self._clock = clock
        self._failover = failover
        self._spooling = spooling

    async def sign_of_life(self) -> Standing:
        def work(connection: Connection) -> Standing:
            now = self._read_clock(connection)
            self._failover.schema = schema_version(connection)
            spooling = self._spooling
            restored = spooling.restore(connection) if self._failover.restoring else spooling.restore_held(connection)
            spooling.forget()
            self._failover.await_others(_signs(connection, but=(self._name, *spooling.inherited)))
            self._note(connection, now)
            on_duty = self._on_duty(connection, now)
            if on_duty:
                _keep(connection, now, forget=not self._failover.waits)
            return Standing(
                living=living(connection, now), on_duty=on_duty, returned=self._failover.count, restored=restored
            )

        returned = self._failover.count
        standing = await self._writer.run(work)
        if self._failover.count == returned:  # else it went away again, and what was restored is not sure
            self._failover.restored()
        return standing

    async def sign_off(self) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(replica).where(_r.name == self._name))
            connection.execute(update(duty).where(_d.owner == self._name).values(owner=None))

        await self._writer.run(work)

    def _read_clock(self, connection: Connection) -> datetime:
        before = self._clock.boottime()
        found = self._engines.time(connection)
        if found is None:
            return self._clock.now()
        self._clock.read(found.at, before=before, after=self._clock.boottime())
        self._failover.look(found)
        return found.at

    def _note(self, connection: Connection, now: datetime) -> None:
        keys = ",".join(self._sealer.key_ids)
        sign = {"seen_at": now, "key_id": self._sealer.primary_key_id, "key_ids": keys}
        if connection.execute(update(replica).where(_r.name == self._name).values(sign)).rowcount == 0:
            connection.execute(insert(replica).values(name=self._name, **sign))

    def _on_duty(self, connection: Connection, now: datetime) -> bool:
        free = or_(_d.owner == self._name, _d.owner.is_(None), _d.until < now)
        taken = update(duty).where(_d.name == "housekeeping", free).values(owner=self._name, until=now + _DUTY)
        return connection.execute(taken).rowcount == 1


def living(connection: Connection, now: datetime) -> int:
    """Daemons that gave a sign of life lately."""
    return connection.scalar(select(func.count()).select_from(replica).where(_r.seen_at > now - LIVING)) or 0


def keys_in_use(connection: Connection, now: datetime) -> frozenset[str]:
    """What the living seal with."""
    return frozenset(connection.scalars(select(_r.key_id).where(_r.seen_at > now - LIVING)).all())


def lacking(connection: Connection, now: datetime, key_id: str, *, but: str) -> int:
    """How many of the living do not have this key; not counting `but`, the one who asks."""
    rings = connection.scalars(select(_r.key_ids).where(_r.seen_at > now - LIVING, _r.name != but))
    return sum(key_id not in (ring or "").split(",") for ring in rings)


def _signs(connection: Connection, *, but: Collection[str]) -> dict[str, datetime]:
    rows = connection.execute(select(_r.name, _r.seen_at).where(_r.name.not_in(but)))
    return {row.name: row.seen_at for row in rows}


def _keep(connection: Connection, now: datetime, *, forget: bool) -> None:
    """The store's own sign of life. `forget`: the names of the long dead, but not behind a long outage."""
    connection.execute(SIGN_OF_LIFE, {"at": now})
    if forget:
        connection.execute(delete(replica).where(_r.seen_at < now - _FORGOTTEN))
