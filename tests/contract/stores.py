"""Stores under the contract suite: each a real database, opened and filled the way the product does it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import text

from refreshd.adapters.aesgcm_sealer import new_key_line
from refreshd.adapters.key_ring_file import KeyRingFile
from refreshd.adapters.sql.engine import SqlEngines, prepare_file
from refreshd.adapters.sql.engines import Engines
from refreshd.adapters.sql.identity import identify
from refreshd.adapters.sql.importer import Imported, Importer, Registered
from refreshd.adapters.sql.inventory import Inventory
from refreshd.adapters.sql.migrate import migrate
from refreshd.adapters.sql.postgres import PostgresEngines
from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.store import SqlStore
from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.grant import Grant
from refreshd.domain.policy import LifetimeFrom, RefreshPolicy
from refreshd.domain.secret import Secret
from refreshd.ports.store import Attempt, Capacity
from tests.fakes import START

ACME = ClientName("acme")
OTHER = ClientName("other")
LEASE = timedelta(seconds=165)

POLICY = RefreshPolicy(
    access_lifetime=timedelta(hours=1),
    refresh_lifetime=timedelta(days=30),
    lifetime_from=LifetimeFrom.UNKNOWN,
    refresh_before_expiry=timedelta(minutes=5),
    spread=0.05,
    scan_interval=timedelta(seconds=1),
    request_timeout=timedelta(seconds=90),
    settle_delay=timedelta(seconds=60),
    commit_timeout=timedelta(seconds=10),
    warn_before=(timedelta(days=7), timedelta(days=3), timedelta(days=1)),
)


@dataclass
class Bed(ABC):
    """A store with its importer and inventory. `store` is what the daemon sees; it goes by the test's own time."""

    directory: Path
    environment: str = "production"
    ring_name: str = "ring"

    @abstractmethod
    def open(self) -> Engines:
        """The database, without a schema if it is new."""

    def __enter__(self) -> Self:
        self.engines = self.open()
        migrate(self.engines, now=START)
        self.sealer = KeyRingFile(self.ring)
        with self.engines.write.begin() as connection:
            self.identity = identify(connection, self.sealer, environment=self.environment, now=START)
        self.codec = RowCodec(self.sealer, self.environment)
        self.store = SqlStore(self.engines, self.codec, owner="p1")
        self.inventory = Inventory(self.engines.read, self.engines.write, self.codec)
        registered = {name: Registered(policy=POLICY, scope="offline read") for name in (ACME, OTHER)}
        self.importer = Importer(self.engines.write, self.codec, self.identity, registered, draw=lambda: 0.5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.close()
        self.engines.close()

    def add(self, *grants: Grant, replace: bool = False, now: datetime = START) -> Imported:
        checked = self.importer.check(grants, replace=replace)
        if checked.refusals:
            return checked
        return self.importer.write(grants, replace=replace, now=now, progress=lambda _count: None)

    async def claim(
        self, now: datetime = START, *, count: int = 10, client: ClientName = ACME, machine: bool = False
    ) -> list[Attempt]:
        claims = await self.store.claim_due(
            now=now,
            capacity={client: Capacity(count=count, lease=LEASE, machine=machine)},
            total=count,
            holding=(),
        )
        return list(claims.attempts)

    def row(self, name: str) -> Mapping[str, Any]:
        """The stored row, ciphertexts and integers as they are."""
        with self.engines.read.begin() as connection:
            found = connection.execute(text("SELECT * FROM credential WHERE id = :id"), {"id": name}).mappings().one()
            return dict(found)

    def edit(self, name: str, **values: object) -> None:
        """Damage a row, as a disk or a hand may."""
        assignments = ", ".join(f"{column} = :{column}" for column in values)
        with self.engines.write.begin() as connection:
            connection.execute(
                text(f"UPDATE credential SET {assignments} WHERE id = :row_id"), {**values, "row_id": name}
            )

    @property
    def ring(self) -> Path:
        """The key ring's file, made at the first use."""
        path = self.directory / self.ring_name
        if not path.exists():
            path.write_text(new_key_line())
        return path


@dataclass
class SqliteBed(Bed):
    """A file in the directory."""

    def open(self) -> Engines:
        path = self.directory / "refreshd.db"
        prepare_file(path)
        return SqlEngines(f"sqlite:///{path}", busy_timeout=timedelta(seconds=5))


@dataclass
class PostgresBed(Bed):
    """The database `url`; the key ring lies in the directory."""

    url: str = ""

    def open(self) -> Engines:
        return PostgresEngines(self.url, limit=timedelta(seconds=5))


def damage(ciphertext: bytes) -> bytes:
    """One bit flipped, as a disk may do."""
    return bytes(ciphertext[:-1]) + bytes([ciphertext[-1] ^ 1])


def machine_grant(name: str = "a", *, client: ClientName = ACME) -> Grant:
    """A credential of a client that asks for itself: no login, no token."""
    return Grant(id=CredentialId(name), client=client, refresh_token=None)


def grant(name: str = "a", token: str | None = None, *, client: ClientName = ACME, **fields: Any) -> Grant:
    """A login whose refresh token is named after its id."""
    values: dict[str, Any] = {
        "access_token": None,
        "token_type": "bearer",
        "scope": "offline read",
        "issued_at": None,
        "expires_at": None,
        "login_at": None,
        **fields,
    }
    return Grant(id=CredentialId(name), client=client, refresh_token=Secret(token or f"refresh-{name}"), **values)
