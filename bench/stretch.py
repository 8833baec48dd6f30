"""One stretch of a saturated run: CPU by the operating system, refreshes by the provider's own count."""

import time
from dataclasses import dataclass

from bench.installation import wait_until
from bench.processes import cpu_seconds
from bench.token_provider import TokenProvider

WARM_UP_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """`cpu`: seconds per 1,000 refreshes; `rate`: refreshes per second; `dialled`: new connections per refresh."""

    cpu: float
    rate: float
    dialled: float


def measure(pid: int, provider: TokenProvider, *, warm_up: int, seconds: float, most: int = 0) -> Stretch:
    """After `warm_up` refreshes, for so many seconds or, if given, `most` refreshes, whichever comes first."""
    first = provider.seen().requests
    wait_until(
        lambda: provider.seen().requests >= first + warm_up, seconds=WARM_UP_SECONDS, what=f"{warm_up} refreshes"
    )
    before, cpu, began = provider.seen(), cpu_seconds(pid), time.monotonic()
    while time.monotonic() < began + seconds and not (most and provider.seen().requests >= before.requests + most):
        time.sleep(0.1)
    after, used, took = provider.seen(), cpu_seconds(pid) - cpu, time.monotonic() - began
    refreshed = after.requests - before.requests
    dialled = after.connections - before.connections
    return Stretch(cpu=used / refreshed * 1000, rate=refreshed / took, dialled=dialled / refreshed)
