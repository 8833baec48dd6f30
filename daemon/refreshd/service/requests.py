"""Taking requests of consumers: read, judge, let one credential at a time be due, strike off what is dealt with.

An entry is struck off only after its verdict, so a crash in between lets another replica judge it once more; by then the
generation is another one, or the limit of the credential holds.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from refreshd.domain.events import RefreshRequested, RequestsLost, StoreFailed
from refreshd.domain.requests import RefreshRequest, RequestLimits, Verdict, decide
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.requests import Entry, Requests, RequestsUnavailable
from refreshd.ports.store import Store, StoreUnavailable

IDLE = timedelta(seconds=1)
AGAIN_AFTER = 1.0  # seconds
AT_MOST = 2000
"""Entries held at a time; what comes beyond that waits in Redis."""


class RequestDesk:
    """One loop. `on_taken` is called when a row has become due."""

    def __init__(
        self,
        *,
        requests: Requests,
        store: Store,
        observer: Observer,
        clock: Clock,
        limits: RequestLimits,
        on_taken: Callable[[], None],
    ) -> None:
        self._requests = requests
        self._store = store
        self._observer = observer
        self._clock = clock
        self._limits = limits
        self._on_taken = on_taken
        self._waiting: dict[RefreshRequest, dict[str, Entry]] = {}
        self._since: dict[RefreshRequest, float] = {}
        self._reachable = True

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            if not await self.round():
                await asyncio.sleep(AGAIN_AFTER)  # neither Redis nor a database tells when it is back

    async def round(self) -> bool:
        """One pass. False when Redis or the store could not be reached."""
        try:
            await self._read()
            while self._waiting and await self._judge():
                pass
        except RequestsUnavailable as exc:
            if self._reachable:
                self._observer.on_event(RequestsLost(error=str(exc)))
            self._reachable = False
            return False
        except StoreUnavailable as exc:
            self._observer.on_event(StoreFailed(doing="requests", error=str(exc)))
            return False
        self._reachable = True
        return True

    async def _read(self) -> None:
        """Take in new entries. Waits for them, but no longer than until the next turn, if somebody waits for one."""
        held = sum(map(len, self._waiting.values()))
        wait = min(IDLE, self._limits.in_all) if self._waiting else IDLE
        if held >= AT_MOST:
            await asyncio.sleep(wait.total_seconds())
            return
        malformed: list[Entry] = []
        for entry in await self._requests.read(wait=wait):
            if entry.request is None:
                malformed.append(entry)
                continue
            self._since.setdefault(entry.request, self._clock.monotonic())
            same = self._waiting.setdefault(entry.request, {})
            same[entry.key] = entry  # by its key: one that is held for long is given out again
        if malformed:
            self._tell(Verdict.MALFORMED, len(malformed))
            await self._requests.strike(malformed)

    async def _judge(self) -> bool:
        """Strike off what leads to nothing, and let one be due. Whether one was: then the others are to be judged anew."""
        now, seconds = self._clock.now(), self._clock.monotonic()
        standings = await self._store.standings({one.id for one in self._waiting})
        waited = {one: timedelta(seconds=seconds - self._since[one]) for one in self._waiting}
        decision = decide(waited, standings, self._limits, now=now)
        ended: list[Entry] = []
        for request, verdict in decision.verdicts.items():
            entries = self._forget(request)
            self._tell(verdict, len(entries), request)
            ended += entries
        await self._requests.strike(ended)
        return decision.take is not None and await self._take(decision.take, now)

    async def _take(self, request: RefreshRequest, now: datetime) -> bool:
        """Make the row due: one entry has caused that, others for its generation came too often. False: the row has changed."""
        if not await self._store.take_request(request, limits=self._limits, now=now):
            return False
        self._on_taken()
        entries = self._forget(request)
        self._tell(Verdict.ACCEPTED, 1, request)
        self._tell(Verdict.LIMITED, len(entries) - 1, request)
        await self._requests.strike(entries)
        return True

    def _forget(self, request: RefreshRequest) -> list[Entry]:
        del self._since[request]
        return list(self._waiting.pop(request).values())

    def _tell(self, verdict: Verdict, count: int, request: RefreshRequest | None = None) -> None:
        if not count:
            return
        event = RefreshRequested(verdict=verdict, count=count)
        if request is not None:
            event = replace(event, id=request.id, generation=request.generation)
        self._observer.on_event(event)
