"""Restored backups and clones are poison: their refresh tokens are spent, and presenting one ends the live login (R11).

What is published survives such a step back. So before a credential is refreshed for the first time after a start, its
published generation is looked at. An outage of Redis lets it pass, which is the rule's known gap; it is looked at again
before every repetition, as Redis may be back by then.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from refreshd.domain.credential import CredentialId
from refreshd.domain.events import StoreFailed
from refreshd.domain.outcome import REFRESHED
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.publisher import Counters, Publisher, PublisherUnavailable
from refreshd.ports.store import Attempt, Store, StoreUnavailable

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

    def look_again(self) -> None:
        """The database was away and may have lost its last commits: every credential is looked at once more."""
        self._started_at = self._clock.now()

    def moved(self, by: timedelta) -> None:
        """The schedule was moved with the wall clock; what was tried before the start is so still."""
        self._started_at += by

    async def sift(self, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        """Those that may be sent; credentials that are behind what is published are held, unless there is no login to lose."""
        found = await self._published([one for one in attempts if self._may_be_behind(one)])
        behind = {one.id: found[one.credential.id] for one in attempts if _is_behind(one, found)}
        if not behind:
            return attempts
        now = self._clock.now()
        if await self._store.may_take_keys(now=now):  # what is there was another store's; it is being taken over
            return attempts
        for one in attempts:
            if one.id in behind:
                await self._hold(one, behind[one.id], now)
        return [one for one in attempts if one.id not in behind]

    async def meet(self, found: Mapping[CredentialId, Counters]) -> None:
        """A publication has met counters ahead of ours: what is behind is held before a change of its row can hide that."""
        now = self._clock.now()
        taking = await self._store.may_take_keys(now=now)
        for event in await self._store.overtake(found, since=None if taking else self._started_at, now=now):
            self._observer.on_event(event)

    async def _published(self, attempts: Sequence[Attempt]) -> Mapping[CredentialId, Counters]:
        if not attempts or self._clock.monotonic() < self._rests_until:
            return {}
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._publisher.published([one.credential.id for one in attempts])
        except (PublisherUnavailable, TimeoutError):
            self._rests_until = self._clock.monotonic() + REST
            return {}

    async def _hold(self, attempt: Attempt, found: Counters, now: datetime) -> None:
        """A store that fails leaves this attempt to its lease; the others must not wait for that."""
        try:
            if attempt.refresh_token is None:
                await self._overtake(attempt, found, now)
                return
            held = await self._store.hold(attempt, found, now=now)
        except StoreUnavailable as exc:
            self._observer.on_event(StoreFailed(doing="hold", error=str(exc)))
            return
        if held is not None:
            self._observer.on_event(held)

    async def _overtake(self, attempt: Attempt, found: Counters, now: datetime) -> None:
        """No login stands behind it, so nothing of it can be spent: it goes on above what is published, at the next scan."""
        await self._store.release(attempt)
        await self._store.lift({attempt.credential.id: found}, now=now)

    def _may_be_behind(self, attempt: Attempt) -> bool:
        one = attempt.credential
        first = one.attempted_at is None or one.attempted_at <= self._started_at
        return first or one.last_outcome != REFRESHED


def _is_behind(attempt: Attempt, found: Mapping[CredentialId, Counters]) -> bool:
    """Not a login that is newer than what is published: a person has just handed us its token."""
    one = attempt.credential
    there = found.get(one.id)
    if there is None or there.generation <= one.generation:
        return False
    fresh = one.attempted_at is None and there.updated_at is not None and one.login_at > there.updated_at
    return not fresh
