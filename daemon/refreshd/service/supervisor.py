"""The life of the daemon: named root tasks, any of which ending ends it; a drain; a true exit cause."""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Coroutine
from datetime import timedelta

from refreshd.domain.events import DaemonDraining, DaemonStopped, TaskCrashed
from refreshd.ports.observer import Observer
from refreshd.service.answers import Answers
from refreshd.service.health import Health
from refreshd.service.housekeeping import Housekeeping
from refreshd.service.pool import Pool
from refreshd.service.publication import Publication
from refreshd.service.requests import RequestDesk
from refreshd.service.scanner import Scanner

FLUSH_TIMEOUT = 5.0
CANCEL_AGAIN = 0.5


class Supervisor:
    """Runs until asked to stop. `stop` may be called any number of times; the first cause counts."""

    def __init__(
        self,
        *,
        scanner: Scanner,
        publication: Publication,
        housekeeping: Housekeeping,
        requests: RequestDesk,
        pool: Pool,
        answers: Answers,
        health: Health,
        observer: Observer,
        drain_timeout: timedelta,
    ) -> None:
        self._scanner = scanner
        self._publication = publication
        self._housekeeping = housekeeping
        self._requests = requests
        self._pool = pool
        self._answers = answers
        self._health = health
        self._observer = observer
        self._drain_timeout = drain_timeout.total_seconds()
        self._stop = asyncio.Event()
        self._cause = ""
        self._further: dict[str, Callable[[], Coroutine[None, None, None]]] = {}

    def own(self, name: str, run: Callable[[], Coroutine[None, None, None]]) -> None:
        """One more root task, before `run`. It may be cancelled anywhere: nothing that is lost with it is lost for good."""
        self._further[name] = run

    def stop(self, cause: str) -> None:
        self._cause = self._cause or cause
        self._stop.set()

    async def run(self) -> int:
        """Exit code: 0 after a drain that was asked for, 1 when a root task ended by itself."""
        roots = {
            asyncio.create_task(self._scanner.run(), name="scanner"),
            asyncio.create_task(self._publication.run(), name="publication"),
            asyncio.create_task(self._housekeeping.run(), name="housekeeping"),
            asyncio.create_task(self._requests.run(), name="requests"),
            *(asyncio.create_task(run(), name=name) for name, run in self._further.items()),
        }
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait({*roots, stopped}, return_when=asyncio.FIRST_COMPLETED)
            for root in roots:
                if root.done():
                    self._report(root)
            code = 0 if stopped.done() else 1
        finally:
            await self._drain(roots)
            stopped.cancel()
        self._observer.on_event(DaemonStopped(cause=self._cause, exit_code=code))
        return code

    def _report(self, root: asyncio.Task[None]) -> None:
        exc = None if root.cancelled() else root.exception()
        trace = "".join(traceback.format_tb(exc.__traceback__)) if exc else ""
        error = type(exc).__name__ if exc else "ended"
        self._observer.on_event(TaskCrashed(task=root.get_name(), error=error, trace=trace))
        self.stop(f"{root.get_name()} ended")

    async def _drain(self, roots: set[asyncio.Task[None]]) -> None:
        """Claim nothing more, give back what was not sent, wait for what was, then publish it."""
        self._health.drain()
        self._observer.on_event(DaemonDraining(cause=self._cause, in_flight=self._pool.in_flight))
        self._scanner.stop()
        scanning = {root for root in roots if root.get_name() == "scanner"}
        await asyncio.wait(scanning)
        await self._wait_for_answers()
        await _end(roots)
        if any(root.get_name() == "publication" and not root.cancelled() for root in roots):
            return  # it ended by a fault of ours, which a last round would only meet again
        with contextlib.suppress(TimeoutError):  # what is not published now is at the next start
            async with asyncio.timeout(FLUSH_TIMEOUT):
                await self._publication.flush()

    async def _wait_for_answers(self) -> None:
        """Bounded by the drain's limit, but never left while an answer is not stored (protocol R6)."""
        drained = asyncio.create_task(self._pool.drained(), name="drain")
        await asyncio.wait({drained}, timeout=self._drain_timeout)
        while self._answers.storing and not drained.done():
            await asyncio.wait({drained}, timeout=1.0)
        drained.cancel()


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: `asyncio.wait_for`, which redis-py uses, may swallow one cancellation before Python 3.12."""
    pending = tasks
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN)
