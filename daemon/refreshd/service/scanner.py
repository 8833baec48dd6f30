"""The loop that looks for due work once a tick, sooner while much falls due, and when a slot or a rate token becomes free."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

from refreshd.domain.credential import ClientName
from refreshd.domain.events import ScanFinished, StoreFailed, TickMissed
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.store import Capacity, Claims, Store, StoreUnavailable
from refreshd.service.health import Health
from refreshd.service.pool import Pool
from refreshd.service.rhythm import GATHER, Rhythm
from refreshd.service.rollback_guard import RollbackGuard
from refreshd.service.throttle import Throttle
from refreshd.service.timekeeper import Timekeeper

TICKS_MISSED = 3


class Scanner:
    """Claims what can start now and hands it to the pool. `tick` is called by the ticker, `wake` by a freed slot."""

    def __init__(
        self,
        *,
        store: Store,
        pool: Pool,
        throttle: Throttle,
        guard: RollbackGuard,
        timekeeper: Timekeeper,
        health: Health,
        observer: Observer,
        clock: Clock,
        scan_interval: timedelta,
        blocked: Callable[[], bool],
        on_missed_tick: Callable[[], None],
    ) -> None:
        self._store = store
        self._pool = pool
        self._throttle = throttle
        self._guard = guard
        self._timekeeper = timekeeper
        self._health = health
        self._observer = observer
        self._clock = clock
        self._patience = TICKS_MISSED * scan_interval.total_seconds()
        self._blocked = blocked
        self._on_missed_tick = on_missed_tick
        self._event = asyncio.Event()
        self._ticked_at = clock.monotonic()
        self._more: frozenset[ClientName] = frozenset()
        self._rhythm = Rhythm()
        self._woken = False

    def tick(self) -> None:
        self._ticked_at = self._clock.monotonic()
        self._event.set()

    def wake(self) -> None:
        """A slot is free; worth a look only if the last scan left work behind."""
        if self._more:
            self._woken = True
            self._event.set()

    def look(self) -> None:
        """Something became due ahead of the schedule."""
        self._event.set()

    def stop(self) -> None:
        """Let `run` end after the round it is in: a claim under way is carried through, so that nothing is left open."""
        self._event.set()

    async def run(self) -> None:
        """Scan until a drain begins."""
        while not self._health.draining:
            await self.scan()
            await self._pause()

    async def scan(self) -> None:
        """One round. A store that does not answer is told of and tried again at the next tick."""
        self._event.clear()
        try:
            await self._timekeeper.look()
            capacity = self._throttle.capacity()
            if self._blocked():  # an answer waits for a failing store: its row must not be claimed again
                self._failed()
                return
            if min(self._free, sum(one.count for one in capacity.values())) <= 0:
                self._finished(0)
                return
            claimed_at = self._timekeeper.moment()
            most = self._most
            claims = await self._claim(capacity, most)
            for event in claims.held:
                self._observer.on_event(event)
            attempts = await self._guard.sift(claims.attempts)
        except StoreUnavailable as exc:
            self._more = frozenset()
            self._failed()
            self._observer.on_event(StoreFailed(doing="claim", error=str(exc)))
            return
        for attempt in attempts:
            self._throttle.started(attempt.credential.client, repeats=attempt.credential.failures > 0)
            self._pool.start(attempt, claimed_at=claimed_at)
        asked = {client for client, one in capacity.items() if one.count > 0}
        self._more = (self._more - asked) | claims.more  # who could not be asked now still waits
        if len(claims.attempts) == most and self._free:
            self.wake()
        self._finished(len(attempts))

    def _failed(self) -> None:
        """The tick is soon enough for a store that is in trouble."""
        self._rhythm = Rhythm()
        self._health.scanned(store_answered=False)

    def _finished(self, claimed: int) -> None:
        self._rhythm.looked(claimed, now=self._clock.monotonic())
        self._health.scanned(store_answered=True)
        self._observer.on_event(ScanFinished(at=self._clock.now(), claimed=claimed))

    @property
    def _free(self) -> int:
        return min(self._pool.free, self._throttle.free)

    @property
    def _most(self) -> int:
        """To claim at once: half of the slots, as what starts together is answered together. The other half waits meanwhile."""
        return min(self._free, max(1, self._throttle.concurrency // 2))

    async def _claim(self, capacity: Mapping[ClientName, Capacity], most: int) -> Claims:
        now = self._clock.now()
        return await self._store.claim_due(now=now, capacity=capacity, total=most, holding=self._pool.holding())

    async def _pause(self) -> None:
        if self._health.draining:
            return
        wait = min(self._ticked_at + self._patience - self._clock.monotonic(), self._rhythm.pause)
        if self._more and self._free:
            wait = min(wait, self._throttle.next_token_in())
        try:
            async with asyncio.timeout(max(0.0, wait)):
                await self._event.wait()
            if self._woken:
                self._woken = False
                await asyncio.sleep(GATHER)
        except TimeoutError:
            silence = self._clock.monotonic() - self._ticked_at
            if silence >= self._patience:
                self._observer.on_event(TickMissed(waited=timedelta(seconds=silence)))
                self._ticked_at = self._clock.monotonic()
                self._on_missed_tick()
