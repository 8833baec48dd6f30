"""PostgreSQL killed again and again in the middle of commits of replicas; no login may be lost and none presented twice.

`n` is the number of crashes. Each comes while answers are being stored: some are in the database, some in flight, some spooled.
"""

import random
import signal
import time
from collections.abc import Callable

from refreshd.demo.faults import Latency
from tests.programme.daemons.asking import until
from tests.programme.daemons.processes import Process
from tests.programme.programme import Limits, Report
from tests.programme.sharing.judge import Terms, met_at_the_provider, repeated_too_early, unexplained_reuses
from tests.programme.sharing.scene import scene
from tests.programme.sharing.site import SCHEDULER

REPLICAS = 2
CREDENTIALS = 200
LIFETIME = 20.0
LATENCY = Latency(low=0.0, high=0.3)
TERMS = Terms(settle_delay=1.0, lease=13.0, slowest=LATENCY.high)
BUSY_SECONDS = 40.0
CALM_SECONDS = 25.0
_READY_SECONDS = 30.0
_STOP_SECONDS = 20.0


def run(limits: Limits) -> Report:
    """`n` crashes, or as many as the time allows."""
    chance = random.Random(limits.seed)
    crashes, texts = 0, []
    with scene(
        scheduler={**SCHEDULER, "commit_timeout": "5s"},
        credentials=CREDENTIALS,
        lifetime=LIFETIME,
        latency=LATENCY,
        due=True,
    ) as here:
        server, provider, installation = here.server, here.provider, here.installation
        replicas = [installation.daemon() for _ in range(limits.replicas or REPLICAS)]
        texts += [one.tail for one in replicas if not one.wait_for("daemon.ready", _READY_SECONDS)]
        while not texts and limits.going(crashes):
            if not _busy(provider.requests):
                texts.append(f"nothing was asked for {BUSY_SECONDS} s after crash {crashes}: {replicas[0].tail}")
                break
            time.sleep(chance.uniform(0.0, 0.4))
            (server.kill if chance.random() < 0.5 else server.crash)()
            time.sleep(chance.uniform(0.0, 1.0))
            server.start()
            crashes += 1
        time.sleep(CALM_SECONDS)
        texts += [text for one in replicas if (text := _stopped(one))]
        waited = sum(len(one.events("store.unpersisted_responses")) for one in replicas) // 2
        log = here.attempts()
        families, reuses = list(provider.families().values()), provider.reuses()
        texts += unexplained_reuses(reuses, installation.logins, log, TERMS, here.heartbeat.lag())
        texts += repeated_too_early(log, TERMS)
        texts += [f"the login {one.id} died of {one.died_because}" for one in families if not one.alive]
    return Report(
        name="primary",
        n=crashes,
        seed=limits.seed,
        seconds=limits.elapsed,
        counts={
            "answers that waited for the database": waited,
            "credentials": CREDENTIALS,
            "refreshes": sum(one.outcome == "refreshed" for one in log),
            "repetitions that met at the provider": met_at_the_provider(reuses, TERMS),
            "tokens presented twice": len(reuses),
            "worst standstill of the provider in ms": int(1000 * here.heartbeat.worst),
        },
        violations=texts,
        minima={"answers that waited for the database": crashes, "refreshes": 20 * crashes},
    )


def _busy(requests: Callable[[], int]) -> bool:
    """Whether refreshing goes on, from now on counted."""
    before = requests()
    return until(lambda: requests() > before + 5, BUSY_SECONDS)


def _stopped(process: Process) -> str:
    """Empty after a clean stop."""
    process.send(signal.SIGTERM)
    clean = process.ended(_STOP_SECONDS) and process.code == 0
    process.end()
    return "" if clean else f"no clean stop: {process.tail}"
