"""A Redis in a dictionary: the product's own keys and fields, compare-and-set on the revision, and lives on virtual time."""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from refreshd.adapters.redis.keys import Keyspace, Write
from refreshd.domain.credential import CredentialId
from refreshd.ports.publisher import Announced, Counters, Published, PublisherUnavailable, Snapshot, Standing, newer
from tests.programme.virtual_time import Timeline

KEYS = Keyspace("refreshd")


@dataclass(frozen=True, slots=True)
class Entry:
    """One hash. `dies_at`: the timeline's, by the life it was given."""

    revision: int
    fields: Mapping[str, str]
    dies_at: float | None

    @property
    def generation(self) -> int:
        return int(self.fields["generation"])


class Server:
    """What outlives the daemon. `half`: the next batch is written, but nobody hears of it."""

    def __init__(self, timeline: Timeline, chance: random.Random) -> None:
        self._timeline = timeline
        self._chance = chance
        self.entries: dict[str, Entry] = {}
        self.meta: str | None = None
        self.down_until = 0.0
        self.healthy_since = 0.0
        self.half = False
        self._outage = 0.0
        self.highest: dict[str, int] = {}
        self.went_back: list[str] = []

    def lose(self, seconds: float) -> None:
        """An outage begins: at once, or in the middle of the next write."""
        self.half = self._chance.random() < 0.5
        self.down_until = max(self.down_until, self._timeline.now + (0.0 if self.half else seconds))
        self._outage = seconds

    def flush(self) -> None:
        self.entries.clear()
        self.meta = None
        self.healthy_since = self._timeline.now

    def check(self) -> None:
        if not self.up:
            raise PublisherUnavailable("down")

    def halve(self) -> None:
        """The answer to what was just written is lost, and the outage begins."""
        if self.half:
            self.half = False
            self.down_until = self._timeline.now + self._outage
            self.check()

    @property
    def up(self) -> bool:
        return self._timeline.now >= self.down_until

    @property
    def now(self) -> float:
        return self._timeline.now

    @property
    def healthy_for(self) -> float:
        """Seconds since the last outage ended, the last flush, or the last time the keys changed hands; 0 while down."""
        return 0.0 if self.half else max(0.0, self.now - max(self.down_until, self.healthy_since))

    def get(self, key: str) -> Entry | None:
        return self._at(key, self._timeline.now)

    def _at(self, key: str, now: float) -> Entry | None:
        entry = self.entries.get(key)
        if entry is not None and entry.dies_at is not None and entry.dies_at <= now:
            del self.entries[key]
            return None
        return entry

    def readable(self, ids: Iterable[str]) -> Iterator[tuple[str, Entry]]:
        """Tokens that a consumer can read now."""
        now = self._timeline.now
        for name in ids:
            entry = self._at(KEYS.token(name), now)
            if entry is not None and "access_token" in entry.fields:
                yield name, entry

    def set(self, write: Write, *, taking: bool) -> Published:
        there = self.get(write.key)
        if there is not None and there.revision > write.revision:
            return Published.STALE
        if there is not None and there.generation > write.generation and not taking:
            return Published.STALE
        if there is not None and there.revision == write.revision:
            return Published.SAME
        if write.revision < self.highest.get(write.key, 0):
            self.went_back.append(write.key)
        self.highest[write.key] = write.revision
        life = write.life
        dies_at = None if life is None else self._timeline.now + life.total_seconds()
        self.entries[write.key] = Entry(write.revision, write.fields, dies_at)
        return Published.WRITTEN


class SimPublisher:
    """`Publisher` of one process on that server. `alive` raises when the process is dead."""

    def __init__(self, server: Server, *, store_id: str, alive: Callable[[], None]) -> None:
        self._server = server
        self._store_id = store_id
        self._alive = alive
        self._refused = False

    async def pause(self, seconds: float) -> None:
        """`sleep`, repeated while a knock would only be refused again: hours of that, twice a second."""
        await asyncio.sleep(seconds)
        while self._refused and not self._server.up:
            await asyncio.sleep(seconds)

    async def announce(self, *, take: bool = False) -> Announced:
        self._check()
        found = self._server.meta
        known = found == self._store_id
        if found is not None and not known and not take:
            return Announced(known=False, found_store=found, written=False)
        self._server.meta = self._store_id
        if found is not None and not known:
            self._server.healthy_since = self._server.now
        return Announced(known=known, found_store=None if known else found)

    async def published(self, ids: Sequence[CredentialId]) -> Mapping[CredentialId, Counters]:
        self._check()
        if self._server.meta != self._store_id:
            return {}
        found = ((name, newer(self._counters(KEYS.status(name)), self._counters(KEYS.token(name)))) for name in ids)
        return {name: counters for name, counters in found if counters is not None}

    def _counters(self, key: str) -> Counters | None:
        entry = self._server.get(key)
        return Counters(generation=entry.generation, revision=entry.revision) if entry else None

    async def look(self) -> Standing:
        self._check()
        return Standing(intact=self._server.meta == self._store_id)

    async def publish(
        self, snapshots: Sequence[Snapshot], *, now: datetime | None = None, taking: bool = False
    ) -> Sequence[Published]:
        if now is None:
            raise AssertionError("a life is counted from an instant")
        self._check()
        results = [self._publish(one, now=now, taking=taking) for one in snapshots]
        self._refused = True
        self._server.halve()
        self._refused = False
        return results

    def _publish(self, snapshot: Snapshot, *, now: datetime, taking: bool) -> Published:
        token = KEYS.token_write(snapshot, now)
        writes = [KEYS.status_write(snapshot), *([token] if token else [])]
        results = [self._server.set(write, taking=taking) for write in writes]
        return Published.STALE if Published.STALE in results else results[0]

    def _check(self) -> None:
        self._alive()
        self._refused = True
        self._server.check()
        self._refused = False
