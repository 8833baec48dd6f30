"""The store's own threads: one that writes, one that reads. Work handed over is finished even if its caller is cancelled."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from refreshd.ports.store import StoreUnavailable

T = TypeVar("T")
_IDLE_TOO_LONG = "25P03"  # PostgreSQL's


class StoreThread:
    """Runs functions one after the other, each in a transaction of its own on one engine."""

    def __init__(
        self, engine: Engine, name: str, *, in_line: bool = False, on_lost: Callable[[], None] = lambda: None
    ) -> None:
        """`in_line`: the caller's own thread does the work, where time is virtual and must not pass meanwhile.

        `on_lost` is called, on the store's thread, when the database was not there or went away.
        """
        self._engine = engine
        self._on_lost = on_lost
        self._in_line = in_line
        self._lost_until = -math.inf
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[Connection], T], *, first: Callable[[], None] | None = None) -> T:
        """Raises `StoreUnavailable`; whatever else `work` raises is a bug and passes through.

        `first` is done before the database is asked for anything.
        """
        if self._in_line:
            return self._transact(work, first)
        loop, asked_at = asyncio.get_running_loop(), time.monotonic()
        return await loop.run_in_executor(self._executor, self._transact, work, first, asked_at)

    def _transact(
        self, work: Callable[[Connection], T], first: Callable[[], None] | None, asked_at: float = math.inf
    ) -> T:
        if first is not None:
            first()
        if asked_at < self._lost_until:  # it waited behind one that found no database; each would take as long
            raise StoreUnavailable("the database did not answer")
        try:
            connection, transaction = self._begun()
            with connection, transaction:
                return work(connection)
        except SQLAlchemyError as exc:
            if _is_lost(exc):
                self._lost_until = time.monotonic()
                self._on_lost()
            raise StoreUnavailable(describe(exc)) from None  # the original holds statement and parameters
        except OSError as exc:
            raise StoreUnavailable(type(exc).__name__) from None

    def _begun(self, *, anew: bool = True) -> tuple[Connection, RootTransaction]:
        """A connection that broke while it lay idle shows at BEGIN, when nothing was done yet: a fresh one takes its place."""
        connection = self._engine.connect()
        try:
            return connection, connection.begin()
        except DBAPIError as exc:
            connection.close()
            if not (anew and exc.connection_invalidated):
                raise
        return self._begun(anew=False)

    def close(self) -> None:
        self._executor.shutdown(wait=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreThreads:
    """The threads of one store, for whoever shares them. `counter` reads what takes long."""

    writer: StoreThread
    reader: StoreThread
    counter: StoreThread


def _is_lost(exc: SQLAlchemyError) -> bool:
    """Whether a server has gone or never answered. One that ends only our session, which slept, says so by a code of its own."""
    code = getattr(getattr(exc, "orig", None), "sqlstate", None)
    return isinstance(exc, DBAPIError) and (code is None or (exc.connection_invalidated and code != _IDLE_TOO_LONG))


def describe(exc: SQLAlchemyError) -> str:
    """The database's own words, without statement or parameters."""
    origin = getattr(exc, "orig", None)
    return f"{type(origin or exc).__name__}: {str(origin or type(exc).__name__).splitlines()[0]}"
