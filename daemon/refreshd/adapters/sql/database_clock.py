"""The database's clock as everybody's: replicas whose own clocks differ must agree on what is due and what has expired."""

from datetime import datetime, timedelta
from threading import Lock

from refreshd.ports.clock import Clock

_DRIFT = 1e-3  # seconds a second, ten times what a bad quartz does


class DatabaseClock:
    """`Clock` that tells the database's time: read now and then, carried on by our own steady clock.

    Each reading says that at boottime 0 the database's clock showed something between two instants, as far apart as the
    question took. The truth lies in both intervals, unless somebody has set the clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._earliest = self._latest = clock.now() - timedelta(seconds=clock.boottime())
        self._read_at: float | None = None

    def now(self) -> datetime:
        with self._lock:
            origin = self._earliest + (self._latest - self._earliest) / 2
        return origin + timedelta(seconds=self._clock.boottime())

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def boottime(self) -> float:
        return self._clock.boottime()

    def read(self, at: datetime, *, before: float, after: float) -> None:
        """The database said `at`, asked at boottime `before`, heard at `after`."""
        earliest, latest = at - timedelta(seconds=after), at - timedelta(seconds=before)
        with self._lock:
            if self._read_at is not None:
                drift = timedelta(seconds=(after - self._read_at) * _DRIFT)
                kept = max(earliest, self._earliest - drift), min(latest, self._latest + drift)
                if kept[0] <= kept[1]:
                    earliest, latest = kept
            self._earliest, self._latest, self._read_at = earliest, latest, after
