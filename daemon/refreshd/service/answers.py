"""Answers on their way into the store: each is tried until it is there, however long that takes (protocol R6)."""

import asyncio
from dataclasses import replace

from refreshd.domain.credential import moved
from refreshd.domain.events import ResponsesUnpersisted, StoreFailed
from refreshd.domain.policy import LONGEST_COMMIT_WAIT
from refreshd.domain.transition import Transition
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.store import Attempt, Committed, Conflict, Store, StoreUnavailable
from refreshd.service.health import Health
from refreshd.service.timekeeper import Moment, Timekeeper

_FIRST_RETRY = 0.1  # seconds
_LONGEST_RETRY = LONGEST_COMMIT_WAIT.total_seconds()


class Answers:
    """`storing` counts all of them: until it is 0 this process must not end. `unpersisted`: those that were refused so far."""

    def __init__(
        self, *, store: Store, timekeeper: Timekeeper, health: Health, observer: Observer, clock: Clock
    ) -> None:
        self._store = store
        self._timekeeper = timekeeper
        self._health = health
        self._observer = observer
        self._clock = clock
        self.storing = 0
        self.unpersisted = 0

    async def store(self, attempt: Attempt, transition: Transition, settled_at: Moment) -> Committed | Conflict | None:
        """`settled_at`: taken before `settle`. None: a drain began, and the answer holds no token or is kept beside the store."""
        self.storing += 1
        self._health.holds(1)
        try:
            return await self._commit(attempt, transition, settled_at)
        finally:
            self.storing -= 1
            self._health.holds(-1)

    async def _commit(
        self, attempt: Attempt, transition: Transition, settled_at: Moment
    ) -> Committed | Conflict | None:
        try:
            return await self._try(attempt, transition, settled_at)
        except StoreUnavailable as exc:
            self._observer.on_event(StoreFailed(doing="commit", error=str(exc)))
            kept = exc.kept
        self._count_unpersisted(1)
        try:
            return await self._commit_again(attempt, transition, settled_at, kept=kept)
        finally:
            self._count_unpersisted(-1)

    async def _commit_again(
        self, attempt: Attempt, transition: Transition, settled_at: Moment, *, kept: bool
    ) -> Committed | Conflict | None:
        wait = _FIRST_RETRY
        while (transition.has_tokens and not kept) or not self._health.draining:
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_RETRY)
            try:
                return await self._try(attempt, transition, settled_at)
            except StoreUnavailable as exc:
                self._observer.on_event(StoreFailed(doing="commit", error=str(exc)))
                kept = exc.kept
        return None

    async def _try(self, attempt: Attempt, transition: Transition, settled_at: Moment) -> Committed | Conflict:
        """Dated by the time that the stored schedule goes by now: it may have moved since the answer was settled."""
        if by := self._timekeeper.moved_since(settled_at):
            transition = replace(transition, after=moved(transition.after, by))
        return await self._store.commit(attempt, transition, now=self._clock.now())

    def _count_unpersisted(self, change: int) -> None:
        self.unpersisted += change
        self._observer.on_event(ResponsesUnpersisted(count=self.unpersisted))
