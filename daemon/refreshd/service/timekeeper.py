"""Notices when the wall clock jumps while we run (protocol R13).

Measured against the clock that goes on while the machine sleeps, so waking up is no jump. A clock that is slewed moves by
milliseconds between two looks and is followed in silence.

A jump back would let nothing come due until the clock has caught up: the schedule moves back with it. A jump forward is believed:
most often a virtual machine was paused, and its tokens have aged; what is due at once is let go slowly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from refreshd.domain.events import ClockStepped
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.store import Store

STEP = timedelta(seconds=5)
"""The least difference that counts as a jump."""
AHEAD = timedelta(days=1)
UNSEEN = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant before rows were read.

    `boottime`: seconds on the clock that measures leases. `moved`: by how much the schedule had been moved until then.
    """

    boottime: float
    moved: timedelta


class Timekeeper:
    """`look` is called once a round, before what is due by the wall clock.

    `on_back` and `on_ahead` are called with the length of a jump. `trusted`: no jump ahead was seen, so that an age in days is one.
    """

    def __init__(
        self,
        *,
        store: Store,
        observer: Observer,
        clock: Clock,
        on_back: Callable[[timedelta], None],
        on_ahead: Callable[[timedelta], None],
    ) -> None:
        self._store = store
        self._observer = observer
        self._clock = clock
        self._on_back = on_back
        self._on_ahead = on_ahead
        self._origin = self._start_of_time()
        self.trusted = True
        self._moved = timedelta(0)

    def moment(self) -> Moment:
        """To be taken before rows are read."""
        return Moment(boottime=self._clock.boottime(), moved=self._moved)

    def moved_since(self, moment: Moment) -> timedelta:
        """By how much the stored schedule has been moved since then; who holds instants from before moves them too."""
        return self._moved - moment.moved

    def now(self) -> datetime:
        """The time that the stored schedule goes by: a jump back counts from the look that moves the schedule with it."""
        if self._start_of_time() - self._origin <= -STEP:
            return self._origin + timedelta(seconds=self._clock.boottime())
        return self._clock.now()

    async def begin(self, last_seen: datetime | None) -> None:
        """Compare the clock with the store's last sign of life, before anything is claimed. Raises `StoreUnavailable`.

        Earlier than that: the clock went back while no daemon ran. The schedule is moved back by `UNSEEN` more than shows, as
        nobody knows how long the stop was; a refresh that comes too early costs one request. More than `AHEAD` later: most
        likely a long stop, so it is only told.
        """
        now = self._clock.now()
        if last_seen is None or timedelta(0) <= now - last_seen <= AHEAD:
            return
        jumped = now - last_seen
        if jumped <= -STEP:
            await self._store.shift(jumped - UNSEEN, starting=True)
        self.trusted = jumped <= AHEAD
        if abs(jumped) >= STEP:
            self._tell(jumped)

    async def look(self) -> None:
        """Raises `StoreUnavailable`, and sees the same jump again at the next look."""
        origin = self._start_of_time()
        jumped = origin - self._origin
        if jumped <= -STEP:
            await self._move(jumped)
            self._tell(jumped)
            self._on_back(jumped)
        elif jumped >= STEP:
            self.trusted = False
            self._tell(jumped)
            self._on_ahead(jumped)
        self._origin = origin

    async def _move(self, by: timedelta) -> None:
        """From here on answers are settled by the new time: their commits come after this one."""
        before, self._origin = self._origin, self._origin + by
        self._moved += by
        moved = False
        try:
            await self._store.shift(by)
            moved = True
        finally:
            if not moved:
                self._origin, self._moved = before, self._moved - by

    def _tell(self, jumped: timedelta) -> None:
        self._observer.on_event(ClockStepped(by=jumped, now=self._clock.now(), schedule_moved=jumped < timedelta(0)))

    def _start_of_time(self) -> datetime:
        """What the wall clock says of the instant at which boottime was 0."""
        return self._clock.now() - timedelta(seconds=self._clock.boottime())
