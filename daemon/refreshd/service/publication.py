"""Keeping Redis equal to the store: what changed at once, everything after a flush or a reconnection.

The store knows what Redis has not seen, so an outage or a crash only delays; refreshing never waits for this.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from refreshd.domain.credential import CredentialId, Status
from refreshd.domain.events import (
    EvictionPossible,
    ForeignKeys,
    PublishedBatch,
    PublisherLost,
    RepublishStarted,
    RevisionAhead,
    StoreFailed,
)
from refreshd.domain.steps import Reached, Step, unobserved
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.publisher import Counters, Published, Publisher, PublisherUnavailable, Snapshot
from refreshd.ports.store import Store, StoreUnavailable
from refreshd.service.rollback_guard import RollbackGuard
from refreshd.service.timekeeper import Moment, Timekeeper

BATCH = 200
RECONNECT_AFTER = 0.5
# Seconds between rounds, for each of several that were published together; and at most. The next ones share a round.
GATHER = 0.0003
LONGEST_GATHER = 0.010
FLUSH_AGAIN = 0.2
# A little less than the second at which the wiring wakes this, so that no look is put off to the next by a hair.
CHECK_EVERY = timedelta(milliseconds=900)
# How recently the publisher must have been there for the end of a drain to wait for it.
LATELY = timedelta(seconds=5)
# Credentials a second while everything is compared: 100,000 take 34 s, and refreshing keeps the greater part of the processor.
COMPARED_PER_SECOND = 3000
PAGE_EVERY = BATCH / COMPARED_PER_SECOND
# What Redis keeps of a removal lives a day. Shown again on the second day it would outlive the row, whose id may then be
# imported anew with counters that start at 1 and lose against it.
SHOW_REMOVAL = timedelta(hours=24)


class Publication:
    """One loop. `wake` is called after each visible commit and at each tick.

    While the store is told what Redis has (marking), the next batch is shown already: no token waits for a transaction that
    concerns others.
    """

    def __init__(
        self,
        *,
        store: Store,
        publisher: Publisher,
        observer: Observer,
        clock: Clock,
        guard: RollbackGuard,
        timekeeper: Timekeeper,
        store_id: str,
        reached: Reached = unobserved,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._observer = observer
        self._clock = clock
        self._guard = guard
        self._timekeeper = timekeeper
        self._store_id = store_id
        self._reached = reached
        self._pause = pause
        self._event = asyncio.Event()
        self._running = False
        self._marking: asyncio.Task[None] | None = None  # tells the store what Redis has
        self._being_marked: frozenset[CredentialId] = frozenset()
        self._woken = False  # since the marking began
        self._shown_together = 0
        self._connected = False
        self._foreign: str | None = None  # the store that `meta` names, if it is not ours
        self._taking = False  # its keys over, as an operator has allowed
        self._reason = "started"  # why everything is to be shown again
        self._republishing = False
        self._republish_after: CredentialId | None = None  # how far that came
        self._checked_at = 0.0
        self._servers = ""
        self._evicting = ""
        self._answered_at = clock.monotonic()  # Redis; assumed at the start

    def wake(self) -> None:
        self._event.set()
        self._woken = True

    async def run(self) -> None:
        """Publish until cancelled; every write is idempotent, so cancellation is welcome anywhere."""
        self._running = True
        while True:
            began = self._clock.monotonic()
            if not await self.round():
                await self._pause(RECONNECT_AFTER)
            elif self._republishing:
                await self._pause(max(0.0, began + PAGE_EVERY - self._clock.monotonic()))
            else:
                if self._shown_together > 1:
                    await self._pause(min(LONGEST_GATHER, GATHER * self._shown_together))
                await self._event.wait()

    def show_again(self, reason: str) -> None:
        """Everything that is published is to be written anew, whatever was there."""
        self._connected, self._reason = False, reason
        self.wake()

    async def flush(self) -> None:
        """Publish what is pending, for the end of a drain. A publisher that was there a moment ago is asked until cancelled."""
        self._running = False
        was_there = self._clock.monotonic() - self._answered_at < LATELY.total_seconds()
        while not await self.round() and was_there:  # noqa: ASYNC110 - the far side tells nobody when it is back
            await asyncio.sleep(FLUSH_AGAIN)

    async def round(self) -> bool:
        """One pass. False when the far side or the store could not be reached."""
        self._event.clear()
        try:
            if self._marking is not None and (self._marking.done() or not self._running):
                await self._end_marking()
            if not await self._connect():
                return True
            if not self._taking:
                await self._publish_pending()
            await self._republish_page()
            if not self._running:
                await self._end_marking()
        except PublisherUnavailable as exc:
            if self._connected or self._reason == "started":
                self._observer.on_event(PublisherLost(error=str(exc)))
            self._connected = False
            self._reason = "reconnected"
            return False
        except StoreUnavailable as exc:
            self._observer.on_event(StoreFailed(doing="publish", error=str(exc)))
            return False
        self._answered_at = self._clock.monotonic()
        return True

    async def _connect(self) -> bool:
        """Whether the keys are ours. After a start, a reconnection, another server or a lost `meta` all is shown again.

        False while the keys are another store's: nothing is published then (protocol R11).
        """
        now = self._clock.monotonic()
        due = now - self._checked_at >= CHECK_EVERY.total_seconds()
        if self._connected and due:
            self._checked_at = now
            await self._look()
        if self._connected:
            return True
        if self._foreign is not None and not due:
            return False
        self._checked_at = now
        taking = await self._store.may_take_keys(now=self._clock.now())
        announced = await self._publisher.announce(take=taking)
        if not announced.written:
            self._stay_away(announced.found_store or "")
            return False
        self._foreign, self._taking = None, taking
        self._connected, self._servers = True, announced.servers
        self._warn_of_eviction(announced.evicting)
        self._republishing, self._republish_after = True, None
        self._observer.on_event(RepublishStarted(reason="adopted" if taking else self._reason))
        self._reason = "reconnected"
        return True

    async def _look(self) -> None:
        """A primary that took over may lack the last writes, and a server that restarted all of them, `meta` or not."""
        standing = await self._publisher.look()
        if not standing.intact:
            self._connected, self._reason = False, "flushed"
        elif standing.servers != self._servers:
            self._connected, self._reason = False, "server_changed"

    def _warn_of_eviction(self, policy: str) -> None:
        if policy and policy != self._evicting:
            self._observer.on_event(EvictionPossible(policy=policy))
        self._evicting = policy

    def _stay_away(self, found: str) -> None:
        if found != self._foreign:
            self._observer.on_event(ForeignKeys(found=found, ours=self._store_id))
        self._foreign = found
        self._republishing = False  # begins anew when the keys are ours; until then there is nothing to go on with

    async def _publish_pending(self) -> None:
        self._shown_together = 0
        results: Sequence[Published] = ()
        while Published.FAILED not in results:
            read_at = self._timekeeper.moment()
            pending = await self._store.unpublished(limit=BATCH, but=self._being_marked)
            self._shown_together = len(pending) or self._shown_together
            results = await self._publish(pending, read_at, pending=True) if pending else ()
            if len(pending) < BATCH:
                return

    async def _republish_page(self) -> None:
        if not self._republishing:
            return
        if self._taking:
            await self._rise_above(await self._store.page(after=self._republish_after, limit=BATCH))
        read_at = self._timekeeper.moment()
        page = await self._store.page(after=self._republish_after, limit=BATCH)
        if page:
            oldest = self._clock.now() - SHOW_REMOVAL
            # events belong to the pending pass, which marks them spent; shown here too they would be told twice
            due = [
                replace(one, events=()) for one in page if one.status is not Status.REMOVED or one.updated_at > oldest
            ]
            await self._publish(due, read_at, pending=False)
            self._republish_after = page[-1].id
        self._republishing = len(page) == BATCH
        if self._taking and not self._republishing:
            self._taking = False
            await self._store.keys_taken()

    async def _rise_above(self, page: Sequence[Snapshot]) -> None:
        """Raise our counters above those of the keys that we take over. What was raised is pending, too, and told of then."""
        found = await self._publisher.published([one.id for one in page])
        ahead = {one.id: found[one.id] for one in page if one.id in found and found[one.id].revision >= one.revision}
        await self._store.lift(ahead, now=self._clock.now())
        self.wake()

    async def _publish(self, snapshots: Sequence[Snapshot], read_at: Moment, *, pending: bool) -> Sequence[Published]:
        """`read_at`: taken before the snapshots were read. Their lives are counted by the time that they go by."""
        self._reached(Step.PUBLISH_BEGUN)
        time = self._timekeeper.now() - self._timekeeper.moved_since(read_at)
        results = await self._publisher.publish(snapshots, now=time, taking=self._taking)
        self._reached(Step.PUBLISH_WRITTEN)
        now = self._clock.now()
        stale = [one for one, result in zip(snapshots, results, strict=True) if result is Published.STALE]
        for one in stale:
            self._observer.on_event(RevisionAhead(id=one.id, client=one.client, revision=one.revision))
        if pending:
            await self._end_marking()
            self._begin_marking(
                [one for one, result in zip(snapshots, results, strict=True) if result is not Published.FAILED]
            )
        counts = Counter(results)
        self._observer.on_event(
            PublishedBatch(
                written=counts[Published.WRITTEN],
                same=counts[Published.SAME],
                stale=counts[Published.STALE],
                failed=counts[Published.FAILED],
                lags=tuple(
                    (now - one.updated_at).total_seconds()
                    for one, result in zip(snapshots, results, strict=True)
                    if pending and result is Published.WRITTEN
                ),
            )
        )
        if stale:
            await self._overtake(stale)
        return results

    def _begin_marking(self, shown: Sequence[Snapshot]) -> None:
        """Begin to tell the store. What changes meanwhile is shown afterwards: shown before, its events would be told twice."""

        async def mark() -> None:
            try:
                await self._store.mark_published(shown)
            finally:
                self._being_marked = frozenset()
                if self._woken:
                    self._event.set()
            self._reached(Step.PUBLISHED)

        self._being_marked, self._woken = frozenset(one.id for one in shown), False
        self._marking = asyncio.create_task(mark(), name="publication-mark")

    async def _end_marking(self) -> None:
        """Wait until the store knows what was shown last. Raises `StoreUnavailable`: then that is shown once more."""
        if (marking := self._marking) is not None:
            try:
                await marking
            finally:
                if self._marking is marking:
                    self._marking = None

    async def _overtake(self, stale: Sequence[Snapshot]) -> None:
        """Ours was refused, as a restored store's may be: what is behind is held, the rest goes on above what is published."""
        found = await self._publisher.published([one.id for one in stale])
        ahead = {one.id: found[one.id] for one in stale if one.id in found and _is_ahead(found[one.id], one)}
        if ahead:
            await self._guard.meet(ahead)
            self.wake()


def _is_ahead(there: Counters, ours: Snapshot) -> bool:
    return there.revision > ours.revision or there.generation > ours.generation
