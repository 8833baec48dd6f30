"""The services on a real SQLite store and fakes for everything that is not ours: time, chance, provider, Redis."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from refreshd.domain.client import AuthMethod, Client, GrantType, Limits
from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.policy import RefreshPolicy
from refreshd.domain.requests import RequestLimits, Standings
from refreshd.domain.secret import Secret
from refreshd.domain.storm import Refusals
from refreshd.domain.transition import Transition
from refreshd.ports.publisher import Snapshot
from refreshd.ports.store import Attempt, Committed, Conflict, StoreUnavailable
from refreshd.service.discoverer import Published
from refreshd.service.refresher import Registration
from refreshd.wiring.services import Measures, Ports, assemble
from tests.contract.stores import ACME, POLICY, SqliteBed
from tests.fakes import FakeClock, FakeDiscovery, MemoryPublisher, MemoryRequests, RecordingObserver, ScriptedEndpoint

CONCURRENCY = 32


class FailingStore:
    """A store whose commits can be made to fail, as on a full disk, or its answers about requests; the rest passes through.

    `gate`, `marks_gate`, `looks_gate`, `reads_gate`: where commits, marks, looks at other refusals and pages that were read wait.
    """

    def __init__(self, bed: SqliteBed) -> None:
        self._store = bed.store
        self.commits_fail = False
        self.failed_commits = 0
        self.gate: asyncio.Event | None = None
        self.looks_gate: asyncio.Event | None = None
        self.reads_gate: asyncio.Event | None = None
        self.read = asyncio.Event()
        self.standings_fail = False
        self.marks_fail = False
        self.marks_gate: asyncio.Event | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def commit(self, attempt: Attempt, transition: Transition, **when: object) -> Committed | Conflict:
        if self.gate is not None:
            await self.gate.wait()
        if self.commits_fail:
            self.failed_commits += 1
            raise StoreUnavailable("OperationalError: database or disk is full")
        return await self._store.commit(attempt, transition, **when)  # type: ignore[arg-type]  # only `now`

    async def refusals(self, client: ClientName, **when: object) -> Refusals:
        if self.looks_gate is not None:
            await self.looks_gate.wait()
        return await self._store.refusals(client, **when)  # type: ignore[arg-type]  # only `now`

    async def page(self, *, after: CredentialId | None, limit: int) -> Sequence[Snapshot]:
        found = await self._store.page(after=after, limit=limit)
        if self.reads_gate is not None:
            self.read.set()
            await self.reads_gate.wait()
        return found

    async def mark_published(self, snapshots: Sequence[Snapshot]) -> None:
        if self.marks_gate is not None:
            await self.marks_gate.wait()
        if self.marks_fail:
            raise StoreUnavailable("OperationalError: database is locked")
        await self._store.mark_published(snapshots)

    async def standings(self, ids: Collection[CredentialId]) -> Standings:
        if self.standings_fail:
            raise StoreUnavailable("OperationalError: database is locked")
        return await self._store.standings(ids)


class House:
    """Everything between the tick and Redis, as the wiring builds it."""

    def __init__(
        self,
        directory: Path,
        *,
        limits: Limits | None = None,
        policy: RefreshPolicy = POLICY,
        grant: GrantType = GrantType.REFRESH_TOKEN,
    ) -> None:
        self.bed = SqliteBed(directory)
        self._limits = limits or Limits(max_in_flight=16, max_rate=1000.0)
        self.policy = policy
        self.grant = grant
        self.published: dict[ClientName, Published] = {}

    def __enter__(self) -> Self:
        self.bed.__enter__()
        self.clock = FakeClock()
        self.observer = RecordingObserver()
        self.endpoint = ScriptedEndpoint()
        self.discovery = FakeDiscovery()
        self.publisher = MemoryPublisher()
        self.requests = MemoryRequests()
        self.store = FailingStore(self.bed)
        self.restart()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bed.__exit__(kind, exc, trace)

    def restart(self) -> None:
        """New services on what is stored and published, as after a stop."""
        client = self.client()
        if ACME in self.published:
            client = self.published[ACME].client
        services = assemble(
            Ports(
                store=self.store,  # type: ignore[arg-type]  # passes through by __getattr__
                endpoint=self.endpoint,
                publisher=self.publisher,
                requests=self.requests,
                observer=self.observer,
                clock=self.clock,
                draw=lambda: 0.5,
                discovery=self.discovery,
            ),
            {ACME: Registration(client=client, policy=self.policy)},
            {ACME: self._limits},
            Measures(
                scan_interval=timedelta(seconds=1),
                drain_timeout=timedelta(seconds=5),
                concurrency=CONCURRENCY,
                store_id="ours",
                request_limits=RequestLimits(per_credential=timedelta(minutes=5), in_all=timedelta(seconds=1)),
            ),
            on_missed_tick=self._missed,
            published=self.published,
        )
        self.discoverer = services.discoverer
        self.health, self.throttle, self.publication = services.health, services.throttle, services.publication
        self.answers, self.refresher = services.answers, services.refresher
        self.pool, self.scanner = services.pool, services.scanner
        self.housekeeping, self.supervisor = services.housekeeping, services.supervisor
        self.timekeeper, self.desk, self.guard = services.timekeeper, services.requests, services.guard
        self.missed_ticks = 0

    def client(self, token_endpoint: str = "https://provider.example/token") -> Client:
        return Client(
            name=ACME,
            token_endpoint=token_endpoint,
            auth_method=AuthMethod.NONE,
            client_id="id",
            client_secret=None,
            request_timeout=self.policy.request_timeout,
            grant=self.grant,
        )

    async def work(self) -> Sequence[str]:
        """One scan, every attempt carried through, everything published; returns the names of what happened."""
        before = len(self.observer.events)
        await self.scanner.scan()
        await self.pool.drained()
        await self.publication.round()
        return [event.name for event in self.observer.events[before:] if event.level != "none"]

    def presented(self) -> list[str]:
        return [secret.reveal() for secret in self.endpoint.presented]

    def token(self, name: str) -> str | None:
        """What a consumer reads."""
        shown = self.publisher.shown.get(name)
        access = shown.access if shown else None
        return access.value.reveal() if access else None

    def stored(self, name: str) -> Secret:
        """The refresh token that is stored."""
        row = self.bed.row(name)
        return self.bed.codec.open(row["refresh_token"], "refresh_token", CredentialId(name))

    def _missed(self) -> None:
        self.missed_ticks += 1
