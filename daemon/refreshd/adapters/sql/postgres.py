"""Opening a PostgreSQL database. No session state: PgBouncer may hand a connection to somebody else after each transaction."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import ExceptionContext

from refreshd.adapters.sql.engine import StoreRefused
from refreshd.adapters.sql.engines import DatabaseTime
from refreshd.domain.policy import CONNECT_TIMEOUT

_SCHEME = "postgresql+psycopg://"
_FOUNDING = 0x7265_6672_6573_6864  # "refreshd": the key of the advisory lock
_PATIENCE = timedelta(minutes=5)
_READ_ONLY = "25006"  # sqlstate: what was the primary is one no more
_GRACE = timedelta(seconds=1)
"""Beyond what the server allows a statement: by then its own words would have come, if it lived."""
_SHORTEST_CONNECT = 2  # seconds; libpq takes 1 for 2


class PostgresEngines:
    """`read` cannot write. Every transaction brings its limits along, as `limit`: what one statement or lock may take."""

    shared = True

    def __init__(self, url: str, *, limit: timedelta) -> None:
        given, driver = _understood(url)
        seconds = max(_SHORTEST_CONNECT, round(limit.total_seconds()))
        settings: dict[str, Any] = {
            "application_name": "refreshd",
            "connect_timeout": min(seconds, round(CONNECT_TIMEOUT.total_seconds())),
            "keepalives_idle": seconds,
            "keepalives_interval": seconds,
            "keepalives_count": 2,
            "tcp_user_timeout": 1000 * seconds,
            **({"target_session_attrs": "read-write"} if "," in str(given.get("host", "")) else {}),
            **given,
        }
        self._driver = driver
        self._patience = (limit + _GRACE).total_seconds()
        self.place = f"PostgreSQL database {given.get('dbname', 'of the same name as its user')}"
        limits = "; ".join(
            f"SET LOCAL {name} = {int(1000 * limit.total_seconds())}"
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        )
        self.write = self._engine(settings, f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {limits}")
        self.read = self._engine(settings, f"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; {limits}")

    def check(self) -> None:
        """Raises `StoreRefused` when a commit here is not one, and what SQLAlchemy raises."""
        with self.write.begin() as connection:
            if connection.scalar(text("SHOW synchronous_commit")) == "off":
                raise StoreRefused(
                    "the database reports commits before they are on disk (synchronous_commit = off), which loses logins in a "
                    "crash; run: ALTER ROLE <refreshd's role> SET synchronous_commit = on"
                )

    def hold_others_off(self, connection: Connection) -> None:
        patience = int(1000 * _PATIENCE.total_seconds())
        _wait_for(connection, (_PATIENCE + _GRACE).total_seconds())
        connection.execute(text(f"SET LOCAL lock_timeout = {patience}"))
        connection.execute(text(f"SET LOCAL statement_timeout = {patience}"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FOUNDING})

    def copied(self, name: str) -> Path | None:  # noqa: ARG002 - the operator's backup: docs/postgresql.md
        return None

    def time(self, connection: Connection) -> DatabaseTime:
        at, server = connection.execute(text("SELECT clock_timestamp(), pg_postmaster_start_time()")).one()
        return DatabaseTime(at=at.astimezone(UTC), server=server.astimezone(UTC))

    def close(self) -> None:
        self.write.dispose()
        self.read.dispose()

    def _engine(self, settings: Mapping[str, Any], begin: str) -> Engine:
        engine = create_engine(_SCHEME, hide_parameters=True, pool_size=1, max_overflow=4, use_native_hstore=False)

        @event.listens_for(engine, "do_connect")
        def _on_connect(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> Any:
            # autocommit: we say BEGIN ourselves, with the limits in the same message
            return self._driver.connect(**parameters, **settings, autocommit=True, prepare_threshold=None)

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            _wait_for(connection, self._patience)
            connection.exec_driver_sql(begin)

        @event.listens_for(engine, "handle_error")
        def _on_error(context: ExceptionContext) -> None:
            if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
                context.is_disconnect = True

        return engine


def _wait_for(connection: Connection, seconds: float) -> None:
    """How long an answer may take from now on, to the end of the transaction."""
    driver: Any = connection.connection.driver_connection
    driver.patience = seconds


def _understood(url: str) -> tuple[Mapping[str, Any], Any]:
    """What libpq reads from the URL, and the driver. Its own words about a bad URL would quote the password."""
    try:
        import psycopg  # noqa: PLC0415 - an extra, which a SQLite store does without
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

        from refreshd.adapters.sql.patient_connection import PatientConnection  # noqa: PLC0415
    except ImportError as exc:
        raise StoreRefused(
            "store.url names a PostgreSQL database, whose driver is not installed; run: pip install 'refreshd[postgres]'"
        ) from exc
    try:
        return conninfo_to_dict("postgresql://" + url.partition("://")[2]), PatientConnection
    except psycopg.Error:
        raise StoreRefused("store.url cannot be read as a PostgreSQL URL; see docs/postgresql.md") from None
