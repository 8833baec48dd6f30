"""The daemon's parts, opened in order inside one `AsyncExitStack` and closed in reverse."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from refreshd import __version__
from refreshd.adapters.apscheduler_ticker import ApschedulerTicker
from refreshd.adapters.fail_points import fail_points
from refreshd.adapters.http.server import HttpServer
from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.discovery import HttpDiscovery
from refreshd.adapters.oauth.token_endpoint import HttpTokenEndpoint
from refreshd.adapters.observers import Observers
from refreshd.adapters.prometheus.observer import PrometheusObserver
from refreshd.adapters.redis.publisher import RedisPublisher
from refreshd.adapters.redis.requests import RedisRequests
from refreshd.adapters.sql.identity import StoreIdentity
from refreshd.adapters.sql.store import SqlStore
from refreshd.adapters.structlog_observer import StructlogObserver
from refreshd.adapters.system_clock import draw
from refreshd.adapters.systemd import SystemdNotifier
from refreshd.config.settings import Settings
from refreshd.domain.credential import ClientName
from refreshd.domain.events import DaemonReady, DaemonStarted, DoubtsFound
from refreshd.domain.policy import SIGN_OF_LIFE_EVERY, LifetimeFrom
from refreshd.domain.requests import RequestLimits
from refreshd.ports.clock import Clock
from refreshd.service.health import Health
from refreshd.service.refresher import Registration
from refreshd.service.supervisor import Supervisor
from refreshd.wiring.background import background
from refreshd.wiring.discovery import published_by, resolve_all
from refreshd.wiring.redis import place_of
from refreshd.wiring.registrations import limits_of
from refreshd.wiring.replicas import join, replica, sharing
from refreshd.wiring.services import Measures, Ports, Services, assemble
from refreshd.wiring.store import OpenStore

HOUSEKEEPING_EVERY = timedelta(seconds=5)
LOOK_EVERY = timedelta(seconds=1)  # at Redis, however rarely the store is scanned
BESIDE_EVERY = timedelta(seconds=1)
HEARTBEAT_EVERY = timedelta(seconds=1)
INSTANCE_LENGTH = 12


@asynccontextmanager
async def daemon(settings: Settings, opened: OpenStore, environ: Mapping[str, str]) -> AsyncIterator[Supervisor]:
    """Everything that `run` needs, opened in order and closed in reverse."""
    clock = opened.clock
    resolved = resolve_all(settings, opened)
    registered = proven({name: one.registration for name, one in resolved.items()}, opened)
    limits = {name: limits_of(settings.clients[name]) for name in registered}
    instance = uuid4().hex[:INSTANCE_LENGTH]
    reached = fail_points(environ)
    systemd = SystemdNotifier(environ)
    metrics = PrometheusObserver(tuple(registered), version=__version__, key_ids=opened.sealer.key_ids)
    observer = Observers([StructlogObserver(clock=clock, successes=settings.log.successes), metrics, systemd])
    ticker = ApschedulerTicker()
    async with AsyncExitStack() as stack:
        shared = stack.enter_context(sharing(settings, opened, observer, name=instance))
        store = await stack.enter_async_context(
            SqlStore(
                opened.engines,
                opened.codec,
                owner=instance,
                reached=reached,
                failover=shared.failover if shared else None,
                spooling=shared.spooling if shared else None,
            )
        )
        publisher = await stack.enter_async_context(_publisher(settings, opened, instance))
        requests = await stack.enter_async_context(
            RedisRequests(place_of(settings.redis), prefix=settings.redis.key_prefix, store_id=opened.identity.store_id)
        )
        connections = await stack.enter_async_context(
            Connections(
                [one.client for one in registered.values()],
                limit=settings.scheduler.concurrency,
                user_agent=f"refreshd/{__version__}",
            )
        )
        services = assemble(
            Ports(
                store=store,
                endpoint=HttpTokenEndpoint(connections, clock=clock),
                publisher=publisher,
                requests=requests,
                observer=observer,
                clock=clock,
                draw=draw,
                reached=reached,
                discovery=HttpDiscovery(connections),
            ),
            registered,
            limits,
            _measures(settings, opened),
            on_missed_tick=ticker.rearm,
            published=published_by(settings, resolved),
        )
        ourselves = replica(shared, opened, store, services, name=instance, observer=observer) if shared else None
        beside = background(
            opened,
            store,
            services,
            connections,
            limits=limits,
            observer=observer,
            owner=instance,
            on_duty=(lambda: ourselves.on_duty) if ourselves else (lambda: True),
        )
        http = await stack.enter_async_context(_http(settings, services.health, metrics))
        observer.on_event(
            DaemonStarted(
                version=__version__,
                environment=settings.environment,
                store_id=opened.identity.store_id,
                instance=instance,
                clients=tuple(registered),
            )
        )
        await services.timekeeper.begin(opened.identity.last_commit_at)
        if stopped_long(opened.identity, clock, registered):
            services.throttle.start_slowly("long_stop")
        if ourselves is not None:  # open attempts may be another's, who lives; those of the dead end with their leases
            await join(ourselves, beside.resealer, observer)
            ticker.every(SIGN_OF_LIFE_EVERY, ourselves.tick)
        else:
            await _recover(store, registered, observer, now=clock.now())
        _tick(ticker, services, scan_interval=settings.scheduler.scan_interval)
        ticker.every(BESIDE_EVERY, beside.tick)
        ticker.every(HEARTBEAT_EVERY, lambda: systemd.alive() if services.health.live else None)
        await stack.enter_async_context(ticker)
        observer.on_event(DaemonReady(listen=http.address))
        yield services.supervisor


def proven(registered: dict[ClientName, Registration], opened: OpenStore) -> dict[ClientName, Registration]:
    """Apply what was once proven of a registration: its refresh tokens count from the last rotation."""
    proven = opened.inventory.proven_sliding()
    return {
        name: Registration(client=one.client, policy=replace(one.policy, lifetime_from=LifetimeFrom.ROTATION))
        if name in proven
        else one
        for name, one in registered.items()
    }


def stopped_long(identity: StoreIdentity, clock: Clock, registered: Mapping[ClientName, Registration]) -> bool:
    """Whether we were away for longer than the shortest access token lives, so that all that is stored is due at once."""
    lifetimes = [one.policy.access_lifetime for one in registered.values()]
    last = identity.last_commit_at
    return last is not None and bool(lifetimes) and clock.now() - last > min(lifetimes)


def _publisher(settings: Settings, opened: OpenStore, instance: str) -> RedisPublisher:
    return RedisPublisher(
        place_of(settings.redis),
        prefix=settings.redis.key_prefix,
        clock=opened.clock,
        identity={
            "store_id": opened.identity.store_id,
            "environment": settings.environment,
            "instance": instance,
            "started_at": str(int(opened.clock.now().timestamp())),
        },
    )


def _http(settings: Settings, health: Health, metrics: PrometheusObserver) -> HttpServer:
    return HttpServer(
        host=settings.http.listen.host,
        port=settings.http.listen.port,
        live=lambda: health.live,
        ready=lambda: health.ready,
        metrics=metrics.exposition,
    )


def _measures(settings: Settings, opened: OpenStore) -> Measures:
    return Measures(
        scan_interval=settings.scheduler.scan_interval,
        drain_timeout=settings.scheduler.drain_timeout,
        concurrency=settings.scheduler.concurrency,
        store_id=opened.identity.store_id,
        request_limits=RequestLimits(
            per_credential=settings.requests.min_interval,
            in_all=timedelta(seconds=1 / settings.requests.max_rate),
        ),
    )


async def _recover(
    store: SqlStore, registered: Mapping[ClientName, Registration], observer: Observers, *, now: datetime
) -> None:
    """The store has one owner, so whoever left attempts open is dead (protocol R7)."""
    delays = {name: one.policy.settle_delay for name, one in registered.items()}
    if doubts := await store.recover(now=now, settle_delays=delays):
        observer.on_event(DoubtsFound(count=doubts))


def _tick(ticker: ApschedulerTicker, services: Services, *, scan_interval: timedelta) -> None:
    ticker.every(scan_interval, services.scanner.tick)
    ticker.every(min(scan_interval, LOOK_EVERY), services.publication.wake)
    ticker.every(HOUSEKEEPING_EVERY, services.housekeeping.tick)
    if services.discoverer is not None:
        ticker.every(HOUSEKEEPING_EVERY, services.discoverer.tick)
