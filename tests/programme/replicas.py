"""Replicas on one PostgreSQL, their clocks five minutes apart, killed and frozen at random throughout; the ledger judges.

A token may reach the provider twice only when its first attempt ended unheard, and a login may be lost only to that. `n` is the
number of refreshes to reach; a run ends there or when its time is over.
"""

import random
import time
from collections.abc import Callable

from refreshd.demo.faults import Latency
from tests.programme.programme import Limits, Report
from tests.programme.sharing.judge import (
    LAPSED,
    Terms,
    met_at_the_provider,
    repeated_too_early,
    unexplained_lapses,
    unexplained_losses,
    unexplained_reuses,
)
from tests.programme.sharing.people import People
from tests.programme.sharing.scene import scene
from tests.programme.sharing.site import (
    APART,
    LEASE,
    SCHEDULER,
    Disturbed,
    Seen,
    faketime_missing,
    side_by_side,
)

REPLICAS = 3
LIFETIME = 20.0
CALM_SECONDS = LEASE + 4
LATENCY = Latency(low=0.2, high=1.2)
TERMS = Terms(settle_delay=1.0, lease=LEASE, slowest=LATENCY.high)
ONE_SITE = 3 * 60.0


def run(limits: Limits) -> Report:
    """`n` refreshes. Two thousand credentials, or as many as the machine can serve in a short run."""
    credentials = 2000 if limits.seconds >= ONE_SITE else 300
    count = limits.replicas or REPLICAS
    seen, chance = Seen(), random.Random(limits.seed)
    with scene(scheduler=SCHEDULER, credentials=credentials, lifetime=LIFETIME, latency=LATENCY) as here:
        provider, installation = here.provider, here.installation
        over = _end_of(limits, provider.requests)
        replicas = [
            Disturbed(
                installation,
                offset=0 if faketime_missing() else (number - 1) * APART,
                chance=random.Random(chance.random()),
                seen=seen,
                over=over,
            )
            for number in range(count)
        ]
        with People(installation):
            side_by_side(replicas)
        time.sleep(CALM_SECONDS)
        for one in replicas:
            one.end()
        log = here.attempts()
        families, reuses = list(provider.families().values()), provider.reuses()
        texts = [
            *seen.faults,
            *unexplained_reuses(reuses, installation.logins, log, TERMS, here.heartbeat.lag()),
            *repeated_too_early(log, TERMS),
            *unexplained_losses(families, reuses),
            *unexplained_lapses(log, seen.disturbances, lease=LEASE),
        ]
    refreshes = sum(one.outcome == "refreshed" for one in log)
    return Report(
        name="replicas",
        n=refreshes,
        seed=limits.seed,
        seconds=limits.elapsed,
        counts={
            **dict(sorted(seen.counts.items())),
            "credentials": credentials,
            "logins": len(families),
            "logins lost in the window": sum(not one.alive for one in families),
            "minutes between clocks": 0 if faketime_missing() else APART // 60,
            "repetitions that met at the provider": met_at_the_provider(reuses, TERMS),
            "takeovers": sum(one.code == LAPSED for one in log),
            "tokens presented twice": len(reuses),
            "worst standstill of the provider in ms": int(1000 * here.heartbeat.worst),
        },
        violations=texts,
        minima=_minima(limits, count),
    )


def _end_of(limits: Limits, requests: Callable[[], int]) -> Callable[[], bool]:
    return lambda: not limits.going(requests())


def _minima(limits: Limits, replicas: int) -> dict[str, int]:
    """In three minutes 100 takeovers and 20 late wake-ups. A short run owes less: it spends much of its time starting.

    There half a dozen freezes meet few requests, so that chance weighs. Fewer than three replicas are disturbed less often; more
    of them share what is in flight, so they owe no more.
    """
    share = min(limits.seconds, limits.elapsed) / ONE_SITE * min(replicas / REPLICAS, 1.0)
    if limits.seconds < ONE_SITE:
        return {"takeovers": int(70 * share), "late wake-ups": int(7 * share)}
    return {"takeovers": int(100 * share), "late wake-ups": int(20 * share)}
