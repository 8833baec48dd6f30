"""Bringing the schema up to date. Alembic is loaded only when there is something to do."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from refreshd.adapters.sql.engine import SqlEngines, StoreRefused, private_umask
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


def migrate(engines: SqlEngines, *, now: datetime) -> Migrated:
    """Upgrade to `HEAD` in one transaction, after a copy of what was there. Raises `StoreRefused` for a newer schema."""
    with engines.write.begin() as connection:
        before = schema_version(connection)
    if before == HEAD:
        return Migrated(before=before, after=HEAD)
    refuse_newer(before)
    copy = _copy(engines, now) if before is not None else None
    _upgrade(engines)
    return Migrated(before=before, after=HEAD, copy=copy)


def refuse_newer(version: str | None) -> None:
    """An older program never touches a newer schema."""
    if version is not None and version > HEAD:
        raise StoreRefused(
            f"the store has schema {version}, this program knows {HEAD}; install the newer refreshd again"
        )


def _upgrade(engines: SqlEngines) -> None:
    from alembic import command  # noqa: PLC0415 - 0.3 s of imports that most starts do not need
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engines.write.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _copy(engines: SqlEngines, now: datetime) -> Path:
    target = engines.path.with_name(f"{engines.path.name}.before-{HEAD}-{now:%Y%m%dT%H%M%SZ}")
    with private_umask(), engines.read.connect() as connection:
        raw = connection.connection.driver_connection
        if raw is None:
            raise StoreRefused("the store could not be copied before its migration")
        try:
            raw.execute("PRAGMA query_only=OFF")
            raw.execute("VACUUM INTO ?", (str(target),))
        except sqlite3.Error as exc:
            raise StoreRefused(f"the store could not be copied to {target} before its migration: {exc}") from exc
        finally:
            raw.execute("PRAGMA query_only=ON")
    return target
