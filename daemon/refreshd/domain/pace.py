"""Slow start: after an outage of the provider, or a long stop of ours, what has piled up is not let loose at once (protocol §4)."""

from dataclasses import dataclass, replace

from refreshd.domain.outcome import Deferred, Outcome, Refreshed, Rejected, Uncertain

OUTAGE_AFTER = 5  # failures in a row
SEVERAL = 3  # failures in a row that prolong a slow start
SLOWEST = 0.1  # of the configured rate
DOUBLE_AFTER = 10.0  # seconds without an error


@dataclass(frozen=True, slots=True)
class Pace:
    """One client's share of its rate. `raised_at`: monotonic seconds since which it has run at `share` without an error."""

    share: float = 1.0
    raised_at: float = 0.0
    failures: int = 0


def slowed(at: float) -> Pace:
    """The beginning of a slow start. `at`: monotonic seconds."""
    return Pace(share=SLOWEST, raised_at=at)


def learn(pace: Pace, outcome: Outcome, *, at: float) -> Pace:
    """Count failures that are the provider's: the first answer after an outage begins a slow start, several in a row prolong one.

    A single one does not: at hundreds a second there is one in any ten seconds.
    """
    match outcome:
        case Deferred() | Uncertain(shared=False):
            found = replace(now_at(pace, at), failures=pace.failures + 1)
            return replace(found, raised_at=at) if found.failures >= SEVERAL else found
        case Refreshed() | Rejected() if pace.failures >= OUTAGE_AFTER:
            return slowed(at)
        case Refreshed() | Rejected() if pace.failures:
            return replace(pace, failures=0)
        case _:
            return pace


def now_at(pace: Pace, at: float) -> Pace:
    """The pace as it has become by `at`: doubled every ten seconds without an error, up to the whole rate."""
    doublings = int((at - pace.raised_at) / DOUBLE_AFTER) if pace.share < 1 else 0
    if doublings <= 0:
        return pace
    share = min(1.0, pace.share * 2.0 ** min(doublings, 8))
    return replace(pace, share=share, raised_at=pace.raised_at + doublings * DOUBLE_AFTER)
