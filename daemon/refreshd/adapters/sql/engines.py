"""What every database behind the store has in common; `engine` (SQLite) and `postgres` open one each, `wiring` chooses."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseTime:
    """The database's clock, and when its server began: another beginning is a restart, or a failover that may have lost commits."""

    at: datetime
    server: datetime


class Engines(Protocol):
    """Two ways into one database. `shared`: several daemons may work on it at once. `place`: its name, for people."""

    write: Engine
    read: Engine
    shared: bool
    place: str

    def hold_others_off(self, connection: Connection) -> None:
        """Until this transaction ends nobody else founds or migrates the store."""
        ...

    def copied(self, name: str) -> Path | None:
        """Put a copy called `name` beside the database, before its schema changes; None where that is the operator's to do."""
        ...

    def time(self, connection: Connection) -> DatabaseTime | None:
        """None where the database has no clock of its own."""
        ...

    def close(self) -> None: ...
