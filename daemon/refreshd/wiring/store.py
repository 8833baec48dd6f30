"""Opening the store: as its owner, with its keys, on the right schema, for the right environment."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from refreshd.adapters.key_ring_file import KeyRingFile
from refreshd.adapters.sql.engine import RunLock, SqlEngines, StoreRefused, prepare_file, sqlite_path
from refreshd.adapters.sql.identity import StoreIdentity, identify
from refreshd.adapters.sql.importer import Importer, Registered
from refreshd.adapters.sql.inventory import Inventory
from refreshd.adapters.sql.migrate import Migrated, migrate, refuse_newer, schema_version
from refreshd.adapters.sql.owner import become_owner
from refreshd.adapters.sql.retirement import Retirement
from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.schema import HEAD
from refreshd.adapters.sql.thread import describe
from refreshd.adapters.system_clock import SystemClock, draw
from refreshd.config.settings import Settings
from refreshd.wiring.registrations import registrations


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStore:
    """A store whose file, schema, keys and environment were checked."""

    engines: SqlEngines
    codec: RowCodec
    sealer: KeyRingFile
    identity: StoreIdentity
    migrated: Migrated

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.engines.read, self.engines.write, self.codec)

    @property
    def retirement(self) -> Retirement:
        return Retirement(self.engines.read, self.engines.write, self.sealer)

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
    path = sqlite_path(settings.store.url)
    sealer = KeyRingFile(settings.store.encryption_key_file)
    become_owner(path)
    if not path.exists() and not create:
        raise StoreRefused(f"there is no store at {path} yet; `refreshd import` or `refreshd run` makes it")
    prepare_file(path)
    engines = SqlEngines(settings.store.url, busy_timeout=settings.scheduler.commit_timeout)
    try:
        migrated = _migrated(engines, upgrade=upgrade)
        with engines.write.begin() as connection:
            identity = identify(connection, sealer, environment=settings.environment, now=SystemClock().now())
        yield OpenStore(
            engines=engines,
            codec=RowCodec(sealer, settings.environment),
            sealer=sealer,
            identity=identity,
            migrated=migrated,
        )
    except SQLAlchemyError as exc:
        raise StoreRefused(f"the store {path} cannot be used: {describe(exc)}") from None
    finally:
        engines.close()


def run_lock(settings: Settings) -> RunLock:
    """The lock of the one daemon that may run on this store."""
    path = sqlite_path(settings.store.url)
    become_owner(path)
    prepare_file(path)
    return RunLock(path)


def _migrated(engines: SqlEngines, *, upgrade: bool) -> Migrated:
    """A new store is always made; an older one only by `run` and `migrate`."""
    with engines.read.begin() as connection:
        before = schema_version(connection)
    if before == HEAD:
        return Migrated(before=before, after=HEAD)
    refuse_newer(before)
    if before is not None and not upgrade:
        raise StoreRefused(f"the store has the older schema {before}; run `refreshd migrate` first")
    return migrate(engines, now=SystemClock().now())
