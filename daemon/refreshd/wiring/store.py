"""Opening the store: as its owner, with its keys, on the right schema, for the right environment."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from refreshd.adapters.key_ring_file import KeyRingFile
from refreshd.adapters.sql.database_clock import DatabaseClock
from refreshd.adapters.sql.engine import RunLock, SqlEngines, StoreMissing, StoreRefused, prepare_file, sqlite_path
from refreshd.adapters.sql.engines import Engines
from refreshd.adapters.sql.identity import StoreIdentity, identify
from refreshd.adapters.sql.importer import Importer, Registered
from refreshd.adapters.sql.inventory import Inventory
from refreshd.adapters.sql.migrate import Migrated, migrate, refuse_newer, schema_version
from refreshd.adapters.sql.owner import become_owner
from refreshd.adapters.sql.postgres import PostgresEngines
from refreshd.adapters.sql.replicas import living
from refreshd.adapters.sql.retirement import Retirement
from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.schema import HEAD
from refreshd.adapters.sql.thread import describe
from refreshd.adapters.system_clock import SystemClock, draw
from refreshd.config.postgres_urls import is_postgres
from refreshd.config.settings import Settings
from refreshd.ports.clock import Clock
from refreshd.wiring.registrations import registrations


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStore:
    """A store whose file, schema, keys and environment were checked. `clock`: the one that its instants are read by."""

    engines: Engines
    codec: RowCodec
    sealer: KeyRingFile
    identity: StoreIdentity
    migrated: Migrated
    clock: Clock

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.engines.read, self.engines.write, self.codec)

    @property
    def retirement(self) -> Retirement:
        return Retirement(self.engines, self.sealer)

    def importer(self, settings: Settings) -> Importer:
        registered = {
            name: Registered(policy=one.policy, scope=settings.clients[name].scope)
            for name, one in registrations(settings).items()
        }
        return Importer(self.engines.write, self.codec, self.identity, registered, draw=draw)


@contextmanager
def open_store(settings: Settings, *, upgrade: bool = False, create: bool = False) -> Iterator[OpenStore]:
    """Open the store as its owner. `upgrade`: bring an older schema up to date; `create`: make a missing store.

    Raises `Refusal` for everything that a person must mend; nothing is changed then.
    """
    sealer = KeyRingFile(settings.store.encryption_key_file)
    engines = _engines(settings, create=create)
    try:
        if isinstance(engines, PostgresEngines):
            engines.check()
        clock = _clock(engines)
        migrated = _migrated(engines, clock, upgrade=upgrade, create=create)
        with engines.write.begin() as connection:
            engines.hold_others_off(connection)
            identity = identify(connection, sealer, environment=settings.environment, now=clock.now())
        yield OpenStore(
            engines=engines,
            codec=RowCodec(sealer, settings.environment),
            sealer=sealer,
            identity=identity,
            migrated=migrated,
            clock=clock,
        )
    except SQLAlchemyError as exc:
        raise StoreRefused(f"the store {engines.place} cannot be used: {describe(exc)}") from None
    finally:
        engines.close()


def run_lock(settings: Settings) -> AbstractContextManager[object]:
    """The lock of the one daemon that may run on a SQLite store; on PostgreSQL any number may."""
    if is_postgres(settings.store.url):
        return nullcontext()
    path = sqlite_path(settings.store.url)
    become_owner(path)
    prepare_file(path)
    return RunLock(path)


def daemon_runs(settings: Settings) -> bool:
    """Whether some daemon works on this store now."""
    if not is_postgres(settings.store.url):
        return RunLock(sqlite_path(settings.store.url)).is_held
    engines = PostgresEngines(settings.store.url, limit=settings.scheduler.commit_timeout)
    try:
        with engines.read.begin() as connection:
            found = engines.time(connection)
            return living(connection, found.at) > 0
    except SQLAlchemyError as exc:
        raise StoreRefused(f"the store {engines.place} cannot be used: {describe(exc)}") from None
    finally:
        engines.close()


def state_directory(settings: Settings) -> Path:
    """Where this machine keeps what belongs to the store but not in it."""
    if not is_postgres(settings.store.url):
        return sqlite_path(settings.store.url).parent
    if settings.store.spool_directory is None:
        raise StoreRefused("store.spool_directory is needed without $STATE_DIRECTORY and $HOME: a local directory")
    return settings.store.spool_directory.parent


def _engines(settings: Settings, *, create: bool) -> Engines:
    limit = settings.scheduler.commit_timeout
    if is_postgres(settings.store.url):
        spool = settings.store.spool_directory
        if spool is not None and spool.exists():
            become_owner(spool)
        return PostgresEngines(settings.store.url, limit=limit)
    path = sqlite_path(settings.store.url)
    become_owner(path)
    if not path.exists() and not create:
        raise StoreMissing(f"there is no store at {path} yet; `refreshd login`, `import` or `run` makes it")
    prepare_file(path)
    return SqlEngines(settings.store.url, busy_timeout=limit)


def _clock(engines: Engines) -> Clock:
    system = SystemClock()
    if not engines.shared:
        return system
    clock = DatabaseClock(system)
    with engines.read.begin() as connection:
        before = clock.boottime()
        if found := engines.time(connection):
            clock.read(found.at, before=before, after=clock.boottime())
    return clock


def _migrated(engines: Engines, clock: Clock, *, upgrade: bool, create: bool) -> Migrated:
    """A new store is always made; an older one only by `run` and `migrate`."""
    with engines.read.begin() as connection:
        before = schema_version(connection)
    if before == HEAD:
        return Migrated(before=before, after=HEAD)
    refuse_newer(before)
    if before is None and engines.shared and not create:
        raise StoreMissing(
            f"there is no store in the {engines.place} yet; `refreshd login`, `import` or `run` makes it"
        )
    if before is not None and not upgrade:
        raise StoreRefused(f"the store has the older schema {before}; run `refreshd migrate` first")
    return migrate(engines, now=clock.now())
