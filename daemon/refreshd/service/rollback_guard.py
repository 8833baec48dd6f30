"""Restored backups and clones are poison: their refresh tokens are spent, and presenting one ends the live login (R11).

What is published survives such a step back. So before a credential is refreshed for the first time after a start, its
published generation is looked at. An outage of Redis lets it pass: that is the rule's known gap.
"""

import asyncio
from collections.abc import Sequence

from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.publisher import Publisher, PublisherUnavailable
from refreshd.ports.store import Attempt, Store

PATIENCE = 1.0
REST = 5.0


class RollbackGuard:
    """Sifts claimed attempts before anything is sent. Raises what the store raises."""

    def __init__(self, *, store: Store, publisher: Publisher, observer: Observer, clock: Clock) -> None:
        self._store = store
        self._publisher = publisher
        self._observer = observer
        self._clock = clock
        self._started_at = clock.now()
        self._rests_until = 0.0

    async def sift(self, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        """Those that may be sent; credentials that are behind what is published are held."""
        unproven = [one for one in attempts if self._is_first(one)]
        if not unproven or self._clock.monotonic() < self._rests_until:
            return attempts
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._publisher.published([one.credential.id for one in unproven])
        except (PublisherUnavailable, TimeoutError):
            self._rests_until = self._clock.monotonic() + REST
            return attempts
        behind = {
            one.id
            for one in unproven
            if one.credential.id in found and found[one.credential.id].generation > one.credential.generation
        }
        for one in attempts:
            if one.id in behind:
                held = await self._store.hold(one, found[one.credential.id], now=self._clock.now())
                self._observer.on_event(held)
        return [one for one in attempts if one.id not in behind]

    def _is_first(self, attempt: Attempt) -> bool:
        last = attempt.credential.attempted_at
        return last is None or last < self._started_at
