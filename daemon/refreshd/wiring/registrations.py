"""Configured clients as the services see them: a registration, its policy, its limits."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.request import getproxies_environment

from refreshd.config.settings import ClientSettings, Settings
from refreshd.domain.client import Client, GrantType, Limits
from refreshd.domain.credential import ClientName
from refreshd.domain.policy import RefreshPolicy, commit_share, margin, request_timing
from refreshd.service.refresher import Registration
from refreshd.wiring.resolution import Endpoints, endpoints_of


def registrations(settings: Settings) -> dict[ClientName, Registration]:
    """Every configured client with its policy, as far as the configuration alone says it."""
    return {ClientName(name): registration(settings, name, endpoints_of(one)) for name, one in settings.clients.items()}


def registration(settings: Settings, name: str, endpoints: Endpoints) -> Registration:
    one = settings.clients[name]
    profile = one.provider_profile
    machine = one.grant is GrantType.CLIENT_CREDENTIALS
    deadline, settle = request_timing(
        profile.reuse_grace,
        request_timeout=settings.scheduler.request_timeout,
        settle_delay=settings.scheduler.settle_delay,
    )
    client = Client(
        name=ClientName(name),
        token_endpoint=endpoints.token,
        auth_method=endpoints.auth_method,
        client_id=one.client_id,
        client_secret=one.client_secret,
        request_timeout=deadline,
        rejection_codes=frozenset(profile.rejection_codes),
        client_id_in=profile.client_id_in,
        grant=one.grant,
        scope=one.scope,
        proxy=_proxy(one.proxy, endpoints.token or endpoints.issuer or ""),
        ca_file=str(one.ca_file) if one.ca_file else None,
        revocation_endpoint=endpoints.revocation,
    )
    policy = RefreshPolicy(
        access_lifetime=profile.access_token_lifetime,
        refresh_lifetime=None if machine else profile.refresh_token_lifetime,
        lifetime_from=profile.refresh_token_lifetime_from,
        refresh_before_expiry=settings.scheduler.refresh_before_expiry,
        spread=settings.scheduler.spread,
        scan_interval=settings.scheduler.scan_interval,
        request_timeout=deadline,
        settle_delay=settle,
        commit_timeout=commit_share(profile.reuse_grace, settings.scheduler.commit_timeout, request_timeout=deadline),
        reuse_grace=profile.reuse_grace,
        warn_before=tuple(settings.relogin.warn_before),
        required_scope="" if machine else profile.required_scope,
    )
    return Registration(client=client, policy=policy)


def limits_of(one: ClientSettings) -> Limits:
    return Limits(max_in_flight=one.max_in_flight, max_rate=one.max_rate)


def load_of(policy: RefreshPolicy) -> float:
    """Refreshes a second that one credential needs."""
    lifetime = policy.access_lifetime
    every = lifetime - margin(policy, lifetime) - lifetime * policy.spread / 2
    return 1 / max(every.total_seconds(), 1.0)


def horizon_of(policy: RefreshPolicy) -> timedelta:
    """How long an access token that still lives can have been due: since its margin, and the spread before that."""
    return margin(policy, policy.access_lifetime) + policy.access_lifetime * policy.spread


def rate_shortfalls(settings: Settings, stored: Mapping[str, int]) -> list[tuple[str, float, float]]:
    """Clients whose stored credentials need more refreshes a second than `max_rate` allows: name, needed, allowed."""
    found = []
    for name, one in registrations(settings).items():
        needed, limit = stored.get(name, 0) * load_of(one.policy), settings.clients[name].max_rate
        if needed > limit:
            found.append((str(name), needed, limit))
    return found


def _proxy(proxy: str, endpoint: str) -> str:
    """`"env"` asks the environment, by the endpoint's scheme."""
    if proxy != "env":
        return proxy
    return getproxies_environment().get(endpoint.split(":", 1)[0], "")
