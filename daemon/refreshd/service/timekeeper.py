"""Notices when the wall clock jumps while we run, and moves the schedule with it (protocol R13).

Measured against the clock that goes on while the machine sleeps, so waking up is no jump. A clock that is slewed moves by
milliseconds between two looks and is followed in silence.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from refreshd.domain.events import ClockStepped
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.store import Store

STEP = timedelta(seconds=5)


class Timekeeper:
    """`look` is called once a round, before what is due by the wall clock. `on_step`: what is published must be shown anew."""

    def __init__(self, *, store: Store, observer: Observer, clock: Clock, on_step: Callable[[], None]) -> None:
        self._store = store
        self._observer = observer
        self._clock = clock
        self._on_step = on_step
        self._origin = self._start_of_time()

    async def look(self) -> None:
        """Raises `StoreUnavailable`, and sees the same jump again at the next look."""
        origin = self._start_of_time()
        jumped = origin - self._origin
        if abs(jumped) >= STEP:
            await self._store.shift(jumped)
            self._observer.on_event(ClockStepped(by=jumped, now=self._clock.now(), schedule_moved=True))
            self._on_step()
        self._origin = origin

    def _start_of_time(self) -> datetime:
        """What the wall clock says of the instant at which boottime was 0."""
        return self._clock.now() - timedelta(seconds=self._clock.boottime())
