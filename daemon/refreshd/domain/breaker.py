"""Whether a client may be used at all. Only client-wide faults come here; no credential is ever changed by them (protocol R9)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from refreshd.domain.outcome import Confirmation, Deferred, Misconfigured, Outcome, Refreshed, Rejected
from refreshd.domain.token_response import MAX_RETRY_AFTER

PROBE_AFTER = (timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=5))
"""Before the first probe, the second, and each further one."""


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
    if _lies_ahead(breaker.throttled_until, now, MAX_RETRY_AFTER):
        return 0
    if not breaker.suspended:
        return free
    probing = in_flight == 0 and not _lies_ahead(breaker.probe_at, now, PROBE_AFTER[-1])
    return min(1, free) if probing else 0


def observe(breaker: Breaker, outcome: Outcome, *, sent_at: datetime, now: datetime) -> Breaker:
    """Learn from one outcome. Requests that left before the suspension neither lengthen nor end it unless they succeed."""
    probed = breaker.suspended and not _lies_ahead(breaker.probe_at, sent_at, PROBE_AFTER[-1])
    if isinstance(outcome, Deferred) and outcome.throttled and outcome.retry_after is not None:
        breaker = _throttle(breaker, now + outcome.retry_after, now)
    match outcome:
        case Misconfigured():
            if breaker.suspended and not probed:
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
            return Breaker(throttled_until=breaker.throttled_until)  # the provider accepted our client
        case _:
            return replace(breaker, probe_at=now + PROBE_AFTER[0]) if probed else breaker  # the probe proved nothing


def moved(breaker: Breaker, by: timedelta) -> Breaker:
    """The same waits after the wall clock has jumped by that much."""
    return replace(
        breaker,
        probe_at=breaker.probe_at and breaker.probe_at + by,
        throttled_until=breaker.throttled_until and breaker.throttled_until + by,
    )


def _throttle(breaker: Breaker, until: datetime, now: datetime) -> Breaker:
    """A shorter wish never cuts a longer one short."""
    if breaker.throttled_until is not None and _lies_ahead(breaker.throttled_until, now, MAX_RETRY_AFTER):
        until = max(until, breaker.throttled_until)
    return replace(breaker, throttled_until=until)


def _lies_ahead(at: datetime | None, now: datetime, longest: timedelta) -> bool:
    """Whether to wait for `at`. Farther ahead than was ever asked for, the clock stepped back: no stall (protocol R13)."""
    return at is not None and timedelta(0) < at - now <= longest
