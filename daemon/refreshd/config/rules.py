"""Rules between keys: the inequalities that keep a token from being late and a login from being lost (architecture §5)."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from math import ceil

from refreshd.config.durations import format_duration as shown
from refreshd.config.faults import Fault
from refreshd.config.postgres_urls import connecting, is_postgres, is_unverified
from refreshd.config.redis_rules import redis_violations, redis_warnings
from refreshd.config.settings import ClientSettings, SchedulerSettings, Settings
from refreshd.config.violation import Violation
from refreshd.domain.client import GrantType
from refreshd.domain.policy import CONNECT_TIMEOUT, LEASE_SLACK, commit_share, failover_pause, request_timing
from refreshd.domain.token_text import scope_words


def violations(settings: Settings) -> Iterator[Violation]:
    """Both sides of each broken inequality, with their numbers."""
    scheduler = settings.scheduler
    yield from _scans(scheduler)
    yield from _drain(scheduler)
    yield from redis_violations(settings.redis)
    for name, client in settings.clients.items():
        yield from _lifetime(f"clients.{name}", client, scheduler)
        yield from _machine(f"clients.{name}", client)


def warnings(settings: Settings) -> Iterator[str]:
    """What works, but not as well as its owner may think."""
    scheduler = settings.scheduler
    repeat = 2 * scheduler.request_timeout + scheduler.settle_delay + scheduler.scan_interval
    if repeat >= scheduler.refresh_before_expiry:
        yield (
            f"scheduler.refresh_before_expiry ({shown(scheduler.refresh_before_expiry)}) leaves no room to repeat a request "
            f"before the token expires: 2 x request_timeout + settle_delay + scan_interval = {shown(repeat)}"
        )
    yield from redis_warnings(settings.redis)
    if is_postgres(settings.store.url) and is_unverified(settings.store.url):
        yield "store.url: nothing proves that the server is the right one; add sslmode=verify-full, and sslrootcert if need be"
    if is_postgres(settings.store.url):
        yield from _pause(settings)
    for name, client in settings.clients.items():
        yield from _grace(name, client, scheduler)
        yield from _scope(name, client)


def _scans(scheduler: SchedulerSettings) -> Iterator[Violation]:
    scans, margin = 2 * scheduler.scan_interval, scheduler.refresh_before_expiry
    if scans >= margin:
        yield _violation(
            "scheduler.refresh_before_expiry",
            margin,
            f"must be longer than 2 x scan_interval (2 x {shown(scheduler.scan_interval)} = {shown(scans)})",
            about=["scheduler.scan_interval"],
        )


def _drain(scheduler: SchedulerSettings) -> Iterator[Violation]:
    request, commit = scheduler.request_timeout, scheduler.commit_timeout
    if request + commit >= scheduler.drain_timeout:
        yield _violation(
            "scheduler.drain_timeout",
            scheduler.drain_timeout,
            "must be longer than request_timeout + commit_timeout "
            f"({shown(request)} + {shown(commit)} = {shown(request + commit)}), or a stop cuts off answers",
            about=["scheduler.request_timeout", "scheduler.commit_timeout"],
        )


def _lifetime(path: str, client: ClientSettings, scheduler: SchedulerSettings) -> Iterator[Violation]:
    margin, lifetime = scheduler.refresh_before_expiry, client.provider_profile.access_token_lifetime
    if margin >= lifetime / 2:
        yield _violation(
            f"{path}.access_token_lifetime",
            lifetime,
            f"half of it ({shown(lifetime / 2)}) must be longer than scheduler.refresh_before_expiry ({shown(margin)})",
            about=["scheduler.refresh_before_expiry", f"{path}.provider"],
        )


def _machine(path: str, client: ClientSettings) -> Iterator[Violation]:
    if client.grant is GrantType.CLIENT_CREDENTIALS and client.client_secret is None:
        fault = Fault(
            path=f"{path}.client_secret",
            message='is needed with grant = "client_credentials": the client proves itself by nothing else; '
            "give client_secret_file",
        )
        yield Violation(fault=fault, about=frozenset({f"{path}.grant"}))


def pause_of(settings: Settings) -> timedelta:
    """How long at most nothing is claimed after the shared database was away."""
    hosts, patience = connecting(settings.store.url)
    commit = settings.scheduler.commit_timeout
    return failover_pause(hosts=hosts, connect_timeout=patience or min(commit, CONNECT_TIMEOUT), commit_timeout=commit)


def _pause(settings: Settings) -> Iterator[str]:
    scheduler, pause = settings.scheduler, pause_of(settings)
    needed = pause + scheduler.request_timeout + scheduler.scan_interval
    if needed >= scheduler.refresh_before_expiry:
        yield (
            f"scheduler.refresh_before_expiry ({shown(scheduler.refresh_before_expiry)}) leaves no room for a failover of the "
            f"database: pause (up to {shown(pause)}) + request_timeout + scan_interval = {shown(needed)}"
        )


def _grace(name: str, client: ClientSettings, scheduler: SchedulerSettings) -> Iterator[str]:
    grace = client.provider_profile.reuse_grace
    deadline, settle = request_timing(
        grace, request_timeout=scheduler.request_timeout, settle_delay=scheduler.settle_delay
    )
    commit = commit_share(grace, scheduler.commit_timeout, request_timeout=deadline)
    lease = deadline + settle + commit + LEASE_SLACK
    if grace and lease >= grace:
        yield (
            f"clients.{name}.reuse_grace ({shown(grace)}) is too short to be used safely: a lost answer is asked for again "
            f"after up to {_rounded(lease)} (request {_rounded(deadline)} + commit {_rounded(commit)} + {shown(LEASE_SLACK)})"
        )


def _scope(name: str, client: ClientSettings) -> Iterator[str]:
    if client.grant is GrantType.CLIENT_CREDENTIALS:
        return
    required = client.provider_profile.required_scope
    missing = sorted(set(scope_words(required)).difference(scope_words(client.scope)))
    if client.scope and missing:
        yield f"clients.{name}.scope lacks {' '.join(missing)}, without which the provider gives no refresh token"


def _violation(path: str, value: timedelta, message: str, *, about: Iterable[str]) -> Violation:
    return Violation(fault=Fault(path=path, value=f'"{shown(value)}"', message=message), about=frozenset(about))


def _rounded(length: timedelta) -> str:
    return f"{ceil(length.total_seconds())}s"
