"""Liveness and readiness as facts about ourselves; neither depends on Redis or a provider."""

from datetime import timedelta

from refreshd.ports.clock import Clock

MIN_SILENCE = timedelta(seconds=30)
STORE_SILENCE = timedelta(seconds=5)


class Health:
    """Live: the scan loop came round lately, or an answer is held that a restart would lose.

    Ready: recovery is done, the store answers scans, no drain began.
    """

    def __init__(self, clock: Clock, *, scan_interval: timedelta) -> None:
        self._clock = clock
        self._limit = max(MIN_SILENCE, 10 * scan_interval).total_seconds()
        self._patience = max(STORE_SILENCE, 10 * scan_interval).total_seconds()
        self._holding = 0
        self._came_round = clock.monotonic()
        self._store_answered = False
        self._draining = False

    def scanned(self, *, store_answered: bool) -> None:
        self._came_round = self._clock.monotonic()
        self._store_answered = store_answered

    def holds(self, change: int) -> None:
        """One more, or one less, answer on its way into the store: it exists in this process alone."""
        self._holding += change

    def drain(self) -> None:
        self._draining = True

    @property
    def draining(self) -> bool:
        return self._draining

    @property
    def live(self) -> bool:
        return self._draining or self._holding > 0 or self._silence < self._limit

    @property
    def ready(self) -> bool:
        return self._store_answered and not self._draining and self._silence < self._patience

    @property
    def _silence(self) -> float:
        return self._clock.monotonic() - self._came_round
