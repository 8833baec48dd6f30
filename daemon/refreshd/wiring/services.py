"""The services of one daemon, put together on whatever stands behind the ports: the real things, or a test's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from refreshd.domain.client import GrantType, Limits
from refreshd.domain.credential import ClientName
from refreshd.domain.requests import RequestLimits
from refreshd.domain.steps import Reached, unobserved
from refreshd.ports.clock import Clock
from refreshd.ports.discovery import Discovery
from refreshd.ports.observer import Observer
from refreshd.ports.publisher import Publisher
from refreshd.ports.requests import Requests
from refreshd.ports.store import Store
from refreshd.ports.token_endpoint import TokenEndpoint
from refreshd.service.answers import Answers
from refreshd.service.discoverer import Discoverer, Published
from refreshd.service.grant_judge import GrantJudge
from refreshd.service.health import Health
from refreshd.service.housekeeping import Housekeeping
from refreshd.service.pool import Pool
from refreshd.service.publication import Publication
from refreshd.service.refresher import Refresher, Registration
from refreshd.service.requests import RequestDesk
from refreshd.service.rollback_guard import RollbackGuard
from refreshd.service.scanner import Scanner
from refreshd.service.supervisor import Supervisor
from refreshd.service.throttle import Throttle
from refreshd.service.timekeeper import Timekeeper
from refreshd.wiring.registrations import horizon_of, load_of

UNSTORED = 2
"""Attempts under way for each request that may be in flight: as many answers again may wait for the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the services stand on. `draw`: chance in [0, 1), once per stored decision. `reached`: told of each step.

    `discovery` None: no client's provider is asked what it publishes about itself.
    """

    store: Store
    endpoint: TokenEndpoint
    publisher: Publisher
    requests: Requests
    observer: Observer
    clock: Clock
    draw: Callable[[], float]
    reached: Reached = unobserved
    discovery: Discovery | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The numbers of one daemon. `concurrency`: requests in flight over all clients."""

    scan_interval: timedelta
    drain_timeout: timedelta
    concurrency: int
    store_id: str
    request_limits: RequestLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts, for who ticks them and for tests that look at one."""

    health: Health
    throttle: Throttle
    publication: Publication
    answers: Answers
    refresher: Refresher
    pool: Pool
    scanner: Scanner
    housekeeping: Housekeeping
    requests: RequestDesk
    guard: RollbackGuard
    timekeeper: Timekeeper
    supervisor: Supervisor
    discoverer: Discoverer | None


def assemble(
    ports: Ports,
    registered: Mapping[ClientName, Registration],
    limits: Mapping[ClientName, Limits],
    measures: Measures,
    *,
    on_missed_tick: Callable[[], None],
    published: Mapping[ClientName, Published] = MappingProxyType({}),
) -> Services:
    """`on_missed_tick` is called when the ticker has been silent for three intervals. `published`: clients by discovery."""
    store, observer, clock = ports.store, ports.observer, ports.clock
    health = Health(clock, scan_interval=measures.scan_interval)
    throttle = _throttle(
        ports,
        registered,
        limits,
        concurrency=measures.concurrency,
        on_free=lambda: scanner.wake(),  # noqa: PLW0108 - the scanner is made later
    )
    guard = RollbackGuard(store=store, publisher=ports.publisher, observer=observer, clock=clock)
    timekeeper = _timekeeper(
        ports,
        guard,
        throttle,
        show_again=lambda reason: publication.show_again(reason),  # noqa: PLW0108 - the publication is made later
    )
    publication = Publication(
        store=store,
        publisher=ports.publisher,
        observer=observer,
        clock=clock,
        guard=guard,
        timekeeper=timekeeper,
        store_id=measures.store_id,
        reached=ports.reached,
    )
    answers = Answers(store=store, timekeeper=timekeeper, health=health, observer=observer, clock=clock)
    refresher = Refresher(
        registered,
        store=store,
        endpoint=ports.endpoint,
        throttle=throttle,
        health=health,
        observer=observer,
        clock=clock,
        judge=GrantJudge(store=store, observer=observer, clock=clock),
        answers=answers,
        draw=ports.draw,
        on_commit=publication.wake,
        timekeeper=timekeeper,
        reached=ports.reached,
    )
    pool = Pool(
        refresher.refresh,
        size=UNSTORED * measures.concurrency,
        observer=observer,
        on_free=lambda: scanner.wake(),  # noqa: PLW0108 - the scanner is made after its pool
    )
    scanner = Scanner(
        store=store,
        pool=pool,
        throttle=throttle,
        guard=guard,
        timekeeper=timekeeper,
        health=health,
        observer=observer,
        clock=clock,
        scan_interval=measures.scan_interval,
        blocked=lambda: answers.unpersisted > 0,
        on_missed_tick=on_missed_tick,
    )
    housekeeping = _housekeeping(ports, registered, limits, on_change=publication.wake)
    discoverer = _discoverer(ports, published, refresher, throttle)
    requests = RequestDesk(
        requests=ports.requests,
        store=store,
        observer=observer,
        clock=clock,
        limits=measures.request_limits,
        on_taken=scanner.look,
    )
    supervisor = Supervisor(
        scanner=scanner,
        publication=publication,
        housekeeping=housekeeping,
        requests=requests,
        pool=pool,
        answers=answers,
        health=health,
        observer=observer,
        drain_timeout=measures.drain_timeout,
    )
    if discoverer is not None:
        supervisor.own("discovery", discoverer.run)
    return Services(
        health=health,
        throttle=throttle,
        publication=publication,
        answers=answers,
        refresher=refresher,
        pool=pool,
        scanner=scanner,
        housekeeping=housekeeping,
        requests=requests,
        guard=guard,
        timekeeper=timekeeper,
        supervisor=supervisor,
        discoverer=discoverer,
    )


def _throttle(
    ports: Ports,
    registered: Mapping[ClientName, Registration],
    limits: Mapping[ClientName, Limits],
    *,
    concurrency: int,
    on_free: Callable[[], None],
) -> Throttle:
    return Throttle(
        limits,
        concurrency=concurrency,
        leases={name: one.policy.lease for name, one in registered.items()},
        horizons={name: horizon_of(one.policy) for name, one in registered.items()},
        machines=[name for name, one in registered.items() if one.client.grant is GrantType.CLIENT_CREDENTIALS],
        clock=ports.clock,
        observer=ports.observer,
        on_free=on_free,
    )


def _timekeeper(
    ports: Ports, guard: RollbackGuard, throttle: Throttle, *, show_again: Callable[[str], None]
) -> Timekeeper:
    def moved_back(by: timedelta) -> None:
        guard.moved(by)
        throttle.moved(by)
        show_again("clock_stepped")

    return Timekeeper(
        store=ports.store,
        observer=ports.observer,
        clock=ports.clock,
        on_back=moved_back,
        on_ahead=lambda _by: throttle.start_slowly("clock_stepped"),
    )


def _housekeeping(
    ports: Ports,
    registered: Mapping[ClientName, Registration],
    limits: Mapping[ClientName, Limits],
    *,
    on_change: Callable[[], None],
) -> Housekeeping:
    return Housekeeping(
        store=ports.store,
        observer=ports.observer,
        clock=ports.clock,
        ladders={name: one.policy.ladder for name, one in registered.items()},
        loads={name: (load_of(one.policy), limits[name].max_rate) for name, one in registered.items()},
        on_change=on_change,
    )


def _discoverer(
    ports: Ports, published: Mapping[ClientName, Published], refresher: Refresher, throttle: Throttle
) -> Discoverer | None:
    """None where no provider is asked: there would be nothing to own or to tick."""
    if ports.discovery is None or not published:
        return None
    return Discoverer(
        published,
        discovery=ports.discovery,
        store=ports.store,
        refresher=refresher,
        throttle=throttle,
        observer=ports.observer,
        clock=ports.clock,
        draw=ports.draw,
    )
