"""Whether a key may leave the ring: no row rests under it, and nobody will seal with it again."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, delete, select

from refreshd.adapters.sql.engine import StoreRefused
from refreshd.adapters.sql.engines import Engines
from refreshd.adapters.sql.replicas import keys_in_use
from refreshd.adapters.sql.schema import key_check, store
from refreshd.adapters.sql.sealed_columns import rows_by_key
from refreshd.ports.sealer import Sealer


class Retirement:
    """Short synchronous transactions; raise what SQLAlchemy raises."""

    def __init__(self, engines: Engines, sealer: Sealer) -> None:
        self._read = engines.read
        self._write = engines.write
        self._time = engines.time
        self._sealer = sealer

    def rows_by_key(self) -> Mapping[str, int]:
        with self._read.begin() as connection:
            return rows_by_key(connection)

    def daemon_key_id(self) -> str | None:
        """What the daemon sealed with last, as far as it has said."""
        with self._read.begin() as connection:
            return connection.scalar(select(store.c.daemon_key_id))

    def retire(self, *, ring: Collection[str], daemon: bool) -> Sequence[str]:
        """Those of the ring's keys that are needed no more; commands that still hold one are refused from here on.

        `daemon`: whether one runs. Raises `StoreRefused` when that one does not seal with the first key yet.
        """
        first = self._sealer.primary_key_id
        with self._write.begin() as connection:
            if daemon and connection.scalar(select(store.c.daemon_key_id)) != first:
                raise StoreRefused(
                    f"the running daemon does not seal with the key {first} yet: see keys.ring_refused in its log, or restart "
                    "it where its key ring is a copy. Nothing was changed"
                )
            if behind := self._sealing_otherwise(connection, first):
                raise StoreRefused(
                    f"a running daemon still seals with the key {', '.join(behind)}: see keys.ring_refused in its log, or "
                    "restart it where its key ring is a copy. Nothing was changed"
                )
            connection.execute(select(key_check.c.key_id).with_for_update()).all()  # an import under way is counted
            counts = rows_by_key(connection)
            spent = [key for key in ring if key != first and not counts.get(key)]
            connection.execute(delete(key_check).where(key_check.c.key_id.in_(spent)))
        return spent

    def _sealing_otherwise(self, connection: Connection, first: str) -> Sequence[str]:
        """The keys of daemons on a shared database that do not seal with this one yet."""
        now = self._time(connection)
        return [] if now is None else sorted(keys_in_use(connection, now.at) - {first})
