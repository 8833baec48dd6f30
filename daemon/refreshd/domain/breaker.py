"""Whether a client may be used at all. Only client-wide faults come here; no credential is ever changed by them (protocol R9)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from refreshd.domain.outcome import Confirmation, Deferred, Misconfigured, Outcome, Refreshed, Rejected

PROBE_AFTER = (timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One client's state. Suspended: one probe at `probe_at`. Throttled: nothing before `throttled_until`."""

    cause: str | None = None
    detail: str = ""
    probes: int = 0
    probe_at: datetime | None = None
    throttled_until: datetime | None = None

    @property
    def suspended(self) -> bool:
        return self.cause is not None


def allowance(breaker: Breaker, free: int, *, in_flight: int, now: datetime) -> int:
    """How many requests may start now: all that is free, one probe, or none."""
    if breaker.throttled_until is not None and now < breaker.throttled_until:
        return 0
    if not breaker.suspended:
        return free
    probing = breaker.probe_at is not None and now >= breaker.probe_at and in_flight == 0
    return min(1, free) if probing else 0


def observe(breaker: Breaker, outcome: Outcome, *, sent_at: datetime, now: datetime) -> Breaker:
    """Learn from one outcome. Requests that left before the suspension neither lengthen nor end it unless they succeed."""
    match outcome:
        case Misconfigured():
            if breaker.suspended and breaker.probe_at is not None and sent_at < breaker.probe_at:
                return breaker
            probes = breaker.probes + 1 if breaker.suspended else 0
            wait = PROBE_AFTER[min(probes, len(PROBE_AFTER) - 1)]
            return replace(
                breaker,
                cause=outcome.code,
                detail=outcome.detail,
                probes=probes,
                probe_at=now + wait,
            )
        case Refreshed() | Rejected(confirmation=Confirmation.FAST | Confirmation.SLOW):
            return Breaker()  # the provider accepted our client
        case Deferred(throttled=True, retry_after=timedelta() as wait):
            return replace(breaker, throttled_until=now + wait)
        case _:
            if breaker.suspended and breaker.probe_at is not None and sent_at >= breaker.probe_at:
                return replace(breaker, probe_at=now + PROBE_AFTER[0])  # the probe proved nothing
            return breaker
