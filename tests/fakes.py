"""Stand-ins for time, chance and the far side. Each stands for one port and keeps its contract."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from refreshd.domain.client import Client
from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.events import Event
from refreshd.domain.outcome import Deferred, GrantedAccess, Misconfigured, Outcome, Refreshed
from refreshd.domain.requests import parse
from refreshd.domain.secret import Secret
from refreshd.ports.discovery import Discovered
from refreshd.ports.publisher import Announced, Counters, Published, PublisherUnavailable, Snapshot, Standing
from refreshd.ports.requests import Entry, RequestsUnavailable
from refreshd.ports.token_endpoint import NotSent

PATIENCE = 20.0
START = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


class FakeClock:
    """`Clock` that moves when told to; all three clocks run together unless stepped apart."""

    def __init__(self, at: datetime = START) -> None:
        self._at = at
        self._seconds = 1000.0
        self._slept = 0.0

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return self._seconds

    def boottime(self) -> float:
        return self._seconds + self._slept

    def advance(self, length: timedelta) -> None:
        self._at += length
        self._seconds += length.total_seconds()

    def step(self, length: timedelta) -> None:
        """The wall clock alone jumps, as after a correction."""
        self._at += length

    def suspend(self, length: timedelta) -> None:
        """The machine sleeps: wall clock and boottime go on, the monotonic clock stands still."""
        self._at += length
        self._slept += length.total_seconds()


class RecordingObserver:
    """`Observer` that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, name: str) -> None:
        """Wait for an event of that name, if there was none yet."""
        async with asyncio.timeout(PATIENCE):
            while name not in self.names():
                self._news.clear()
                await self._news.wait()

    def names(self) -> list[str]:
        return [event.name for event in self.events if event.level != "none"]


class ScriptedEndpoint:
    """`TokenEndpoint` that answers from a script, and remembers which refresh tokens it was shown.

    An entry is an outcome or a function that makes one; without a script every request succeeds with a new pair.
    """

    def __init__(self) -> None:
        self.script: list[Outcome | Callable[[], Outcome]] = []
        self.presented: list[Secret] = []
        self.clients: list[Client] = []
        self.obtained: list[Client] = []
        self.asked = asyncio.Event()
        self.gate: asyncio.Event | None = None
        self.before_send: Callable[[], None] | None = None

    async def refresh(
        self, client: Client, refresh_token: Secret, scope: str, *, may_send: Callable[[], bool]
    ) -> Outcome:
        del scope
        self.clients.append(client)
        return await self._answer(refresh_token, may_send)

    async def obtain(self, client: Client, *, may_send: Callable[[], bool]) -> Outcome:
        self.obtained.append(client)
        return await self._answer(Secret("none: the client asked for itself"), may_send)

    async def _answer(self, refresh_token: Secret, may_send: Callable[[], bool]) -> Outcome:
        if self.before_send is not None:
            self.before_send()
        if not may_send():
            raise NotSent
        self.presented.append(refresh_token)
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if not self.script:
            return success(f"access-{len(self.presented)}", f"refresh-{len(self.presented)}")
        entry = self.script.pop(0)
        return entry() if callable(entry) else entry


class FakeDiscovery:
    """`Discovery` that answers from a script by client; the last answer stays."""

    def __init__(self) -> None:
        self.script: dict[ClientName, list[Discovered | Deferred | Misconfigured]] = {}
        self.asked: list[ClientName] = []

    async def fetch(self, client: Client, issuer: str) -> Discovered | Deferred | Misconfigured:
        del issuer
        self.asked.append(client.name)
        answers = self.script[client.name]
        return answers.pop(0) if len(answers) > 1 else answers[0]


class MemoryPublisher:
    """`Publisher` on dictionaries: the same compare-and-set on revision.

    `lives`: what the last batch gave its tokens.
    `swallows`: cancellations it will not hear of. `failures`: writes that fail. `servers`: who it is; `evicting`: its policy.
    """

    def __init__(self) -> None:
        self.shown: dict[str, Snapshot] = {}
        self.events: list[tuple[str, str]] = []
        self.meta: str | None = None
        self.servers = "run-1"
        self.evicting = ""
        self.down = False
        self.swallows = 0
        self.swallowing = asyncio.Event()
        self.failures = 0
        self.lives: dict[str, timedelta] = {}

    async def announce(self, *, take: bool = False) -> Announced:
        self._check()
        known, found = self.meta == "ours", self.meta
        if found is not None and not known and not take:
            return Announced(known=False, found_store=found, written=False)
        self.meta = "ours"
        return Announced(
            known=known, found_store=None if known else found, servers=self.servers, evicting=self.evicting
        )

    async def published(self, ids: Sequence[CredentialId]) -> Mapping[CredentialId, Counters]:
        self._check()
        there = {name: self.shown[name] for name in ids if name in self.shown and self.meta == "ours"}
        return {
            name: Counters(generation=one.generation, revision=one.revision, updated_at=one.updated_at)
            for name, one in there.items()
        }

    async def look(self) -> Standing:
        self._check()
        return Standing(intact=self.meta == "ours", servers=self.servers)

    async def publish(
        self, snapshots: Sequence[Snapshot], *, now: datetime | None = None, taking: bool = False
    ) -> Sequence[Published]:
        if now is not None:
            dated = ((one.id, one.access.expires_at) for one in snapshots if one.access)
            self.lives = {name: expires_at - now for name, expires_at in dated if expires_at}
        self._check()
        if self.failures:
            self.failures -= 1
            raise PublisherUnavailable("timed out")
        if self.swallows:
            await self._swallow()
        return [self._publish(snapshot, taking=taking) for snapshot in snapshots]

    async def _swallow(self) -> None:
        self.swallowing.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.swallows -= 1

    def flush(self) -> None:
        self.shown.clear()
        self.meta = None

    def _publish(self, snapshot: Snapshot, *, taking: bool) -> Published:
        there = self.shown.get(snapshot.id)
        if there is not None and there.revision > snapshot.revision:
            return Published.STALE
        if there is not None and there.generation > snapshot.generation and not taking:
            return Published.STALE
        self.events += [(snapshot.id, event) for event in snapshot.events]
        if there is not None and there.revision == snapshot.revision:
            return Published.SAME
        self.shown[snapshot.id] = snapshot
        return Published.WRITTEN

    def _check(self) -> None:
        if self.down:
            raise PublisherUnavailable("down")


class MemoryRequests:
    """`Requests` in a list: what is read stays held until it is struck off. It waits only while it holds nothing."""

    def __init__(self) -> None:
        self.left: list[Entry] = []
        self.held: dict[str, Entry] = {}
        self.down = False
        self._count = 0
        self._news = asyncio.Event()

    def ask(self, name: str = "a", generation: object = 1, **fields: str) -> None:
        """Leave one entry, well formed or not."""
        self._count += 1
        values = {"id": name, "generation": str(generation), **fields}
        self.left.append(Entry(key=str(self._count), request=parse(values)))
        self._news.set()

    async def read(self, *, wait: timedelta) -> Sequence[Entry]:
        del wait
        self._check()
        while not self.left and not self.held:
            self._news.clear()
            await self._news.wait()
        found, self.left = self.left, []
        self.held |= {entry.key: entry for entry in found}
        return found

    async def strike(self, entries: Sequence[Entry]) -> None:
        self._check()
        for entry in entries:
            self.held.pop(entry.key, None)

    def _check(self) -> None:
        if self.down:
            raise RequestsUnavailable("down")


def success(access: str = "access", refresh: str | None = "refresh", *, lifetime: int = 3600) -> Refreshed:
    """A usable answer; `refresh` None: the provider did not rotate."""
    return Refreshed(
        access=GrantedAccess(value=Secret(access), token_type="bearer", expires_in=timedelta(seconds=lifetime)),
        refresh_token=Secret(refresh) if refresh else None,
    )


async def quiet() -> None:
    """Let everybody run who can run without anything happening outside."""
    for _ in range(50):
        await asyncio.sleep(0)
