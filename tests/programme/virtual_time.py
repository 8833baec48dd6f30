"""Time that passes only when nobody has anything to do: an event loop on virtual time, the world's agenda, a machine's clocks.

Three times run here. The loop's own is the monotonic clock of the simulated machine. The timeline's goes on while that
machine sleeps: providers, networks and Redis live by it, and leases are measured with it. The wall clock may step.
"""

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
BUSIEST = 100_000


class Deadlock(RuntimeError):  # noqa: N818 - reads as what it says
    """Nothing is ready, no timer runs: whatever is awaited will never come."""


class Livelock(RuntimeError):  # noqa: N818 - reads as what it says
    """The loop turned a hundred thousand times without time passing."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when nothing is ready. It never waits and knows no sockets."""

    def __init__(self) -> None:
        self._seconds = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        return self._seconds

    def jump(self, seconds: float) -> None:
        """Time passes while the process does not run: timers that end meanwhile are late."""
        self._seconds += seconds


class _Jump(selectors.DefaultSelector):
    """Instead of waiting for sockets, time passes."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock(f"at {self._loop.time():.3f} s")
        if timeout > 0:
            self._turns = 0
            self._loop.jump(timeout)
            return []
        self._turns += 1
        if self._turns > BUSIEST:
            raise Livelock(f"at {self._loop.time():.3f} s")
        return []


class Timeline:
    """The world's own time in seconds since `EPOCH`, and what is to happen in it, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slept = 0.0
        self._happening: float | None = None
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def now(self) -> float:
        return self._loop.time() + self._slept if self._happening is None else self._happening

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (max(when, self.now), next(self._order), action))
        if self._agenda[0][2] is action and self._happening is None:
            self._arm()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.at(self.now + seconds, action)

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: the world goes on, its monotonic clock stands still. Not to be called from the agenda."""
        self._run_until(self.now + seconds)
        self._slept += seconds
        self._arm()

    def freeze(self, loop: VirtualLoop, seconds: float) -> None:
        """The process is stopped (SIGSTOP, a stalled host): every clock goes on, timers are late. Not from the agenda."""
        self._run_until(self.now + seconds)
        loop.jump(seconds)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._agenda:
            self._timer = self._loop.call_at(self._agenda[0][0] - self._slept, self._due)

    def _due(self) -> None:
        self._timer = None
        self._run_until(max(self.now, self._agenda[0][0]))  # their difference is rounding
        self._arm()

    def _run_until(self, end: float) -> None:
        while self._agenda and self._agenda[0][0] <= end:
            when, _, action = heapq.heappop(self._agenda)
            self._happening = when
            action()
        self._happening = None


class SimClock:
    """`Clock` of one machine. `step` moves the wall clock alone."""

    def __init__(self, timeline: Timeline, loop: asyncio.AbstractEventLoop) -> None:
        self._timeline = timeline
        self._loop = loop
        self.offset = 0.0

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._timeline.now + self.offset)

    def monotonic(self) -> float:
        return self._loop.time()

    def boottime(self) -> float:
        return self._timeline.now

    def step(self, seconds: float) -> None:
        self.offset += seconds
