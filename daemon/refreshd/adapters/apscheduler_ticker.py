"""The tick, by APScheduler: jobs only call a function that sets an event; none of them ever owns a token request."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger


class FromNow(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Fires an interval from now, whatever came before.

    The library's interval trigger enumerates every run missed by a clock that stepped forward (5 million for 60 days of
    seconds), on the event loop.
    """

    def __init__(self, interval: timedelta) -> None:
        self.interval = interval

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:  # noqa: ARG002
        return now + self.interval


class ApschedulerTicker:
    """Calls functions at intervals of wall time. After a backward clock step call `rearm`: the library would wait the step out."""

    def __init__(self) -> None:
        self._scheduler: Any = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._jobs: list[tuple[Callable[[], None], timedelta]] = []

    def every(self, interval: timedelta, call: Callable[[], None]) -> None:
        self._jobs.append((call, interval))

    async def __aenter__(self) -> Self:
        for call, interval in self._jobs:
            self._scheduler.add_job(_on_loop(call), FromNow(interval))
        self._scheduler.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scheduler.shutdown(wait=False)

    def rearm(self) -> None:
        """Count every job's interval from now."""
        for job in self._scheduler.get_jobs():
            job.reschedule(job.trigger)


def _on_loop(call: Callable[[], None]) -> Callable[[], Any]:
    async def job() -> None:  # a coroutine job runs on the loop; a plain function would run in a thread
        call()

    return job
