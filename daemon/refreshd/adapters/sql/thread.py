"""The store's own threads: one that writes, one that reads. Work handed over is finished even if its caller is cancelled."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from refreshd.ports.store import StoreUnavailable

T = TypeVar("T")


class StoreThread:
    """Runs functions one after the other, each in a transaction of its own on one engine."""

    def __init__(self, engine: Engine, name: str, *, in_line: bool = False) -> None:
        """`in_line`: the caller's own thread does the work, where time is virtual and must not pass meanwhile."""
        self._engine = engine
        self._in_line = in_line
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Raises `StoreUnavailable`; whatever else `work` raises is a bug and passes through."""
        if self._in_line:
            return self._transact(work)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._transact, work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as exc:
            raise StoreUnavailable(describe(exc)) from None  # the original holds statement and parameters
        except OSError as exc:
            raise StoreUnavailable(type(exc).__name__) from None

    def close(self) -> None:
        self._executor.shutdown(wait=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreThreads:
    """The threads of one store, for whoever shares them. `counter` reads what takes long."""

    writer: StoreThread
    reader: StoreThread
    counter: StoreThread


def describe(exc: SQLAlchemyError) -> str:
    """The database's own words, without statement or parameters."""
    origin = getattr(exc, "orig", None)
    return f"{type(origin or exc).__name__}: {str(origin or type(exc).__name__).splitlines()[0]}"
