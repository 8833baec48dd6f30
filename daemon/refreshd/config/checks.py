"""What several keys must satisfy together (architecture: Inequalities). Each fault names both numbers."""

from urllib.parse import urlsplit

from refreshd.config.durations import format_duration
from refreshd.config.faults import Fault
from refreshd.config.settings import Settings, is_loopback
from refreshd.domain.policy import LEASE_SLACK, request_timing


def cross_faults(settings: Settings) -> list[Fault]:
    """Settings that cannot work together."""
    scheduler = settings.scheduler
    before, scan = scheduler.refresh_before_expiry, scheduler.scan_interval
    faults = []
    positive = ("scan_interval", "refresh_before_expiry", "request_timeout", "commit_timeout", "drain_timeout")
    for name in positive:
        if not getattr(scheduler, name):
            faults.append(Fault(f"scheduler.{name}", "must be longer than 0", "0s"))
    if not 2 * scan < before:
        faults.append(
            Fault(
                "scheduler.refresh_before_expiry",
                f"must be longer than two scans (2 x {format_duration(scan)})",
                format_duration(before),
            )
        )
    drain = scheduler.request_timeout + scheduler.commit_timeout
    if not drain < scheduler.drain_timeout:
        faults.append(
            Fault(
                "scheduler.drain_timeout",
                f"must be longer than request_timeout + commit_timeout ({format_duration(drain)})",
                format_duration(scheduler.drain_timeout),
            )
        )
    for name, client in settings.clients.items():
        lifetime = client.provider_profile.access_token_lifetime
        if not before < lifetime / 2:
            faults.append(
                Fault(
                    f"clients.{name}.access_token_lifetime",
                    f"must be more than twice scheduler.refresh_before_expiry ({format_duration(before)})",
                    format_duration(lifetime),
                )
            )
    return faults


def cross_warnings(settings: Settings) -> list[str]:
    """Settings that work, but not as well as somebody may think."""
    scheduler = settings.scheduler
    repeat = 2 * scheduler.request_timeout + scheduler.settle_delay + scheduler.scan_interval
    warnings = []
    if not repeat < scheduler.refresh_before_expiry:
        warnings.append(
            f"scheduler.refresh_before_expiry ({format_duration(scheduler.refresh_before_expiry)}) leaves no room for one "
            f"repeated request (2 x request_timeout + settle_delay + scan_interval = {format_duration(repeat)})"
        )
    parts = urlsplit(settings.redis.url)
    if parts.scheme == "redis" and not is_loopback(parts.hostname or ""):
        warnings.append("redis.url: access tokens cross the network unencrypted; use rediss:// or a unix socket")
    for name, client in settings.clients.items():
        grace = client.provider_profile.reuse_grace
        deadline, settle = request_timing(
            grace, request_timeout=scheduler.request_timeout, settle_delay=scheduler.settle_delay
        )
        lease = deadline + settle + scheduler.commit_timeout + LEASE_SLACK
        if grace and lease >= grace:
            warnings.append(
                f"clients.{name}.reuse_grace ({format_duration(grace)}) is shorter than the lease "
                f"({format_duration(lease)}): a crash can outlast it"
            )
    return warnings
