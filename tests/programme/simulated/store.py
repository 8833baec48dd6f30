"""The store of a simulated machine: one file that outlives every life of the daemon, and the product's own code on it."""

import sqlite3
import tempfile
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import event as sql_events

from refreshd.adapters.aesgcm_sealer import new_key_line
from refreshd.adapters.key_ring_file import KeyRingFile
from refreshd.adapters.sql.engine import SqlEngines, prepare_file
from refreshd.adapters.sql.identity import StoreIdentity, identify
from refreshd.adapters.sql.migrate import migrate
from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.store import SqlStore
from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.transition import Transition
from refreshd.ports.publisher import Snapshot
from refreshd.ports.store import Attempt, Capacity, Claims, Committed, Conflict
from tests.programme.simulated.houses import COMMIT_TIMEOUT
from tests.programme.simulated.life import Life
from tests.programme.simulated.watch import Watch
from tests.programme.virtual_time import EPOCH

ENVIRONMENT = "production"
MICROS = 1_000_000
DUE_CLIENTS = "SELECT DISTINCT client FROM credential WHERE paused = 0 AND next_attempt_at <= ?"
ADOPTED = "SELECT EXISTS (SELECT 1 FROM store WHERE keys_adopted_at IS NOT NULL)"
PENDING = "SELECT EXISTS (SELECT 1 FROM credential WHERE published_revision < revision)"


class StoreFile:
    """An empty store of the newest schema in that directory. `view`: a connection of the world's own, to look in."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o700)
        self._path = directory / "refreshd.db"
        ring = directory / "ring"
        ring.write_text(new_key_line())
        self.sealer = KeyRingFile(ring)
        self.codec = RowCodec(self.sealer, ENVIRONMENT)
        prepare_file(self._path)
        self._path.write_bytes(_empty_store())
        self._open()

    def identify(self, now: datetime) -> StoreIdentity:
        with self.engines.write.begin() as connection:
            return identify(connection, self.sealer, environment=ENVIRONMENT, now=now)

    def copy(self) -> bytes:
        """A backup, consistent as SQLite's own."""
        return self.view.serialize()

    def restore(self, copy: bytes) -> None:
        self.close()
        for end in ("-wal", "-shm"):
            self._path.with_name(self._path.name + end).unlink(missing_ok=True)
        self._path.write_bytes(copy)
        self._open()

    def close(self) -> None:
        self.view.close()
        self.engines.close()

    def _open(self) -> None:
        """`synchronous` is lowered: a simulated crash takes the process, not the machine's page cache."""
        self.engines = SqlEngines(f"sqlite:///{self._path}", busy_timeout=COMMIT_TIMEOUT)
        for engine in (self.engines.write, self.engines.read):
            sql_events.listen(engine, "connect", _relax)
        self.view = sqlite3.connect(self._path, isolation_level=None)
        self.view.row_factory = sqlite3.Row


class WatchedStore(SqlStore):
    """The product's store, in line; every claim and verdict is told. Work of a dead process is not begun."""

    def __init__(self, file: StoreFile, *, owner: str, watch: Watch, life: Life) -> None:
        super().__init__(file.engines, file.codec, owner=owner, reached=life.reached, in_line=True)
        self._view, self._watch, self._life = file.view, watch, life
        for thread in (self._writer, self._reader):
            thread.run = _living(thread.run, life)  # type: ignore[method-assign]  # a dead process has no threads

    async def claim_due(self, *, now: datetime, capacity: Mapping[ClientName, Capacity], **asked: Any) -> Claims:
        """Clients of whom nothing is due are left out beforehand: seven statements each, and the same result."""
        due = {row[0] for row in self._view.execute(DUE_CLIENTS, (int(now.timestamp() * MICROS),))}
        capacity = {client: room for client, room in capacity.items() if client in due}
        claims = await super().claim_due(now=now, capacity=capacity, **asked)
        for attempt in claims.attempts:
            self._watch.claimed(attempt)
        return claims

    async def may_take_keys(self, *, now: datetime) -> bool:
        """Asked before each knock, for hours while another store has the keys: most stores hold no permission at all."""
        self._life.check()
        return bool(self._view.execute(ADOPTED).fetchone()[0]) and await super().may_take_keys(now=now)

    async def unpublished(self, *, limit: int, but: Collection[CredentialId] = ()) -> Sequence[Snapshot]:
        """Most looks find nothing: seen beforehand, as with what is due."""
        self._life.check()
        if not self._view.execute(PENDING).fetchone()[0]:
            return ()
        return await super().unpublished(limit=limit, but=but)

    async def commit(self, attempt: Attempt, transition: Transition, *, now: datetime) -> Committed | Conflict:
        verdict = await super().commit(attempt, transition, now=now)
        self._watch.committed(attempt, transition, verdict)
        return verdict


def _living(run: Any, life: Life) -> Any:
    async def guarded(work: Any, **named: Any) -> Any:
        life.check()
        return await run(work, **named)

    return guarded


@cache
def _empty_store() -> bytes:
    """A store of the newest schema: made once, as Alembic takes longer than a simulated day."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "empty.db"
        prepare_file(path)
        engines = SqlEngines(f"sqlite:///{path}", busy_timeout=COMMIT_TIMEOUT)
        migrate(engines, now=EPOCH)
        engines.close()
        return path.read_bytes()


def _relax(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")
