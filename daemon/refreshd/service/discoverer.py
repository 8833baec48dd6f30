"""Keeps what clients know of their providers fresh: read once a day; when that fails, what was read before goes on.

A client of whose provider nothing was ever read is suspended until something is. Nobody else waits for it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from refreshd.domain import policy
from refreshd.domain.client import Client
from refreshd.domain.credential import ClientName
from refreshd.domain.events import MetadataKept, MetadataRead, StoreFailed
from refreshd.domain.metadata import MetadataRefused, ProviderMetadata
from refreshd.domain.outcome import Deferred, Misconfigured
from refreshd.ports.clock import Clock
from refreshd.ports.discovery import Discovered, Discovery
from refreshd.ports.observer import Observer
from refreshd.ports.store import Store, StoreUnavailable
from refreshd.service.refresher import Refresher
from refreshd.service.throttle import Throttle

EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One client of a provider that publishes its metadata.

    `client`: as it is known now, without a token endpoint if nothing was read yet. `read_at`: when that was read. `resolve`:
    the client with what new metadata says; raises `MetadataRefused`.
    """

    issuer: str
    client: Client
    read_at: datetime | None
    resolve: Callable[[ProviderMetadata], Client]


@dataclass(slots=True)
class _State:
    client: Client
    due_at: float
    failures: int = 0


class Discoverer:
    """`tick` is called every few seconds. `draw`: chance in [0, 1), once per wait."""

    def __init__(
        self,
        published: Mapping[ClientName, Published],
        *,
        discovery: Discovery,
        store: Store,
        refresher: Refresher,
        throttle: Throttle,
        observer: Observer,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        self._published = published
        self._discovery = discovery
        self._store = store
        self._refresher = refresher
        self._throttle = throttle
        self._observer = observer
        self._clock = clock
        self._draw = draw
        self._event = asyncio.Event()
        self._states = {name: _State(client=one.client, due_at=self._first(one)) for name, one in published.items()}
        for name, state in self._states.items():
            if not state.client.token_endpoint:
                throttle.withhold(name)

    def tick(self) -> None:
        self._event.set()

    async def run(self) -> None:
        while True:
            self._event.clear()
            await self.round()
            await self._event.wait()

    async def round(self) -> None:
        """Ask for all that is due, side by side: a provider that hangs keeps nobody else waiting."""
        now = self._clock.monotonic()
        due = [name for name, state in self._states.items() if state.due_at <= now]
        async with asyncio.TaskGroup() as group:
            for name in due:
                group.create_task(self._read(name), name=f"discovery-{name}")

    async def _read(self, name: ClientName) -> None:
        one, state = self._published[name], self._states[name]
        found = await self._discovery.fetch(state.client, one.issuer)
        if isinstance(found, Discovered):
            try:
                client = one.resolve(found.metadata)
            except MetadataRefused as exc:
                found = Misconfigured(code="metadata_refused", detail=f"{one.issuer}: {exc}")
            else:
                await self._use(name, client, found)
                return
        self._failed(name, found)

    async def _use(self, name: ClientName, client: Client, found: Discovered) -> None:
        one, state = self._published[name], self._states[name]
        state.failures, state.due_at = 0, self._clock.monotonic() + EVERY.total_seconds()
        if client != state.client:
            state.client = client
            self._refresher.use(client)
            self._observer.on_event(MetadataRead(client=name, issuer=one.issuer, token_endpoint=client.token_endpoint))
        self._throttle.permit(name)
        try:
            await self._store.keep_metadata(one.issuer, found.document, now=self._clock.now())
        except StoreUnavailable as exc:  # harmless: it is read again at the next start
            self._observer.on_event(StoreFailed(doing="keep_metadata", error=str(exc)))

    def _failed(self, name: ClientName, outcome: Deferred | Misconfigured) -> None:
        one, state = self._published[name], self._states[name]
        now = self._clock.now()
        wait = policy.backoff(state.failures, now=now, expires_at=None, draw=self._draw())
        state.failures += 1
        state.due_at = self._clock.monotonic() + wait.total_seconds()
        if not state.client.token_endpoint:
            cause = outcome.code if isinstance(outcome, Misconfigured) else "metadata_unreachable"
            self._throttle.withhold(name, cause=cause, until=now + wait, detail=outcome.detail or outcome.code)
            return
        self._observer.on_event(
            MetadataKept(
                client=name, issuer=one.issuer, code=outcome.code, next_attempt_at=now + wait, detail=outcome.detail
            )
        )

    def _first(self, one: Published) -> float:
        if one.read_at is None:
            return self._clock.monotonic()
        age = self._clock.now() - one.read_at
        return self._clock.monotonic() + max(timedelta(0), EVERY - max(age, timedelta(0))).total_seconds()
