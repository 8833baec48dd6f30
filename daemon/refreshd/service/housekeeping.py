"""What is done now and then: warnings of coming logins, figures for metrics, forgetting what was removed."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.events import FiguresTaken, LimitTooLow, StormsCounted
from refreshd.domain.figures import Figures
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.store import Store
from refreshd.service.rounds import Rounds

WARN_BATCH = 500
FIGURES_EVERY = timedelta(seconds=60)
FORGET_AFTER = timedelta(hours=48)
KEEP_HISTORY = timedelta(days=90)
FORGET_BATCH = 200


class Housekeeping(Rounds):
    """`tick` is called every few seconds. `loads`: refreshes a second that one credential of a client needs, and its limit."""

    def __init__(
        self,
        *,
        store: Store,
        observer: Observer,
        clock: Clock,
        ladders: Mapping[ClientName, tuple[timedelta, ...]],
        loads: Mapping[ClientName, tuple[float, float]],
        on_change: Callable[[], None],
    ) -> None:
        super().__init__(doing="housekeeping", observer=observer)
        self._store = store
        self._clock = clock
        self._ladders = ladders
        self._loads = loads
        self._on_change = on_change
        self._on_duty: Callable[[], bool] = lambda: True
        self._counted_at: float | None = None
        self._forgotten: CredentialId | None = None
        self._too_low: set[ClientName] = set()

    def only_when(self, on_duty: Callable[[], bool]) -> None:
        """Of several daemons on one store only the one `on_duty` changes rows; each counts them for its own metrics."""
        self._on_duty = on_duty

    async def round(self) -> None:
        """Raises `StoreUnavailable`."""
        on_duty = self._on_duty()
        if on_duty:
            await self._warn()
        now = self._clock.monotonic()
        if self._counted_at is None or now - self._counted_at >= FIGURES_EVERY.total_seconds():
            self._counted_at = now
            figures = await self._store.figures(now=self._clock.now())
            self._observer.on_event(FiguresTaken(figures=figures))
            self._check_limits(figures)
            self._observer.on_event(StormsCounted(clients=tuple(await self._store.storms())))
            if on_duty:
                await self._store.touch(now=self._clock.now())
                await self._store.forget_removed(before=self._clock.now() - FORGET_AFTER)
        if on_duty:
            await self._forget_history()

    async def _warn(self) -> None:
        while True:
            warned = await self._store.warn_relogin(now=self._clock.now(), ladders=self._ladders, limit=WARN_BATCH)
            for event in warned:
                self._observer.on_event(event)
            if warned:
                self._on_change()
            if len(warned) < WARN_BATCH:
                return

    async def _forget_history(self) -> None:
        """A few credentials a round, so that it never shows beside a refresh."""
        before = self._clock.now() - KEEP_HISTORY
        self._forgotten = await self._store.forget_history(after=self._forgotten, limit=FORGET_BATCH, before=before)

    def _check_limits(self, figures: Figures) -> None:
        """More credentials due per second than `max_rate` allows: said when it begins (protocol §4)."""
        for client, counts in figures.clients.items():
            if client not in self._loads:
                continue
            load, limit = self._loads[client]
            needed = counts.by_status.get("active", 0) * load
            if needed > limit and client not in self._too_low:
                self._observer.on_event(LimitTooLow(client=client, needed_per_second=round(needed, 3), max_rate=limit))
            (self._too_low.add if needed > limit else self._too_low.discard)(client)
