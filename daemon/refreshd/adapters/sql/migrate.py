"""Bringing the schema up to date. Alembic is loaded only when there is something to do."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from refreshd.adapters.sql.engine import StoreRefused
from refreshd.adapters.sql.engines import Engines
from refreshd.adapters.sql.schema import HEAD

_MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """`before` None: the store is new. `copy`: where the old one was put before it was changed."""

    before: str | None
    after: str
    copy: Path | None = None


def schema_version(connection: Connection) -> str | None:
    """The revision the store was last migrated to, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version


def migrate(engines: Engines, *, now: datetime) -> Migrated:
    """Upgrade to `HEAD` in one transaction, after a copy of what was there. Raises `StoreRefused` for a newer schema.

    Of several that start at once one migrates, the others wait for it and find nothing to do.
    """
    with engines.read.begin() as connection:
        before = schema_version(connection)
    if before == HEAD:
        return Migrated(before=before, after=HEAD)
    refuse_newer(before)
    copy = engines.copied(f"before-{HEAD}-{now:%Y%m%dT%H%M%SZ}") if before is not None else None
    with engines.write.begin() as connection:
        engines.hold_others_off(connection)
        before = schema_version(connection)
        refuse_newer(before)
        if before != HEAD:
            _upgrade(connection)
    return Migrated(before=before, after=HEAD, copy=copy)


def refuse_newer(version: str | None) -> None:
    """An older program never touches a newer schema."""
    if version is not None and version > HEAD:
        raise StoreRefused(
            f"the store has schema {version}, this program knows {HEAD}; install the newer refreshd again"
        )


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - 0.3 s of imports that most starts do not need
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
