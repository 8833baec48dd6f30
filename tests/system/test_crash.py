"""kill -9: what dies with the process, and what the next one makes of it (protocol §5)."""

import random
import time
from collections.abc import Callable, Sequence

import pytest

from tests.components.oidc_server import Fault, Grant, OidcServer
from tests.programme.daemons.store_view import Entry, attempts
from tests.system.installation import Daemon, Installation, until

KILLS = 50
LATENCY_MS = 300
LEAST_DOUBTS = 10
SLOW_COMMIT_SECONDS = 3.0
CLOCK_SECONDS = 0.05


@pytest.mark.timeout(400)
def test_kill_9_loses_nothing_outside_the_one_window(install: Callable[..., Installation], oidc: OidcServer) -> None:
    """A login may die only if a kill fell between our claim and our commit while the provider rotated: nothing else is lost.

    Every tenth round the provider is slow, so that kills hit answers on their way; in four of ten it never gets to see the
    request, so that what is in doubt can be recovered; else it is quick.
    """
    installation = install(scheduler={"refresh_before_expiry": "4s", "concurrency": 8}, access_token_lifetime="9s")
    grants = {**installation.log_in("basic", 30), **installation.log_in("pkce", 30)}
    chance = random.Random()
    kills, doubts = [], 0
    for round_ in range(KILLS):
        with installation.daemon() as daemon:
            oidc.latency(LATENCY_MS if round_ % 10 == 0 else 0)
            oidc.fault(*([Fault(mode="hang")] if round_ % 5 in (1, 3) else []))
            time.sleep(chance.uniform(0.0, 1.0))
            kills.append(daemon.kill())
            oidc.fault()
            doubts += _found_open(daemon)
    oidc.latency(0)
    with installation.daemon() as daemon:
        until(lambda: not _unsettled(installation), seconds=60, what="every doubt answered after the last kill")
        doubts += _found_open(daemon)
    ledger = oidc.ledger()
    dead = {name for name, one in grants.items() if not ledger[one.grant_id].alive}
    log = attempts(installation.database)
    unexplained = {
        name
        for name in dead
        if not _explained([one for one in log if one.id == name], ledger[grants[name].grant_id], kills)
    }
    recovered = doubts - len(dead)
    print(
        f"{KILLS} kills, {doubts} attempts in doubt, {recovered} recovered, "
        f"{len(dead)} of {len(grants)} logins lost inside the window, {len(unexplained)} outside"
    )
    assert set() == unexplained
    assert doubts >= LEAST_DOUBTS
    assert recovered >= LEAST_DOUBTS
    refused = {name for name, view in installation.views().items() if view["rejections"] or view["status"] != "active"}
    assert dead == refused


def _found_open(daemon: Daemon) -> int:
    """Attempts that this start found open."""
    return sum(int(entry["count"]) for entry in daemon.events("daemon.open_attempts_found"))


def _unsettled(installation: Installation) -> list[str]:
    """Credentials that are in doubt without having been asked about again."""
    return [
        name
        for name, view in installation.views().items()
        if view["in_doubt"] and not view["rejections"] and view["status"] == "active"
    ]


def _explained(log: Sequence[Entry], grant: Grant, kills: list[float]) -> bool:
    """Whether a token reached the grant check twice because its first attempt was open when a kill fell.

    The attempt log is the witness: phase `claimed` is an attempt that no process lived to end. An answer that lay uncommitted
    for seconds is no such accident, whoever was killed then.
    """
    for token, successor in zip(grant.tokens, grant.tokens[1:], strict=False):
        judged = [one for one in token.presentations if one.reached_grant_check]
        if len(judged) > 1:
            first = [one for one in log if one.started_at <= judged[0].at + CLOCK_SECONDS][-1]
            came = successor.delivered_at or judged[0].at
            return first.phase == "claimed" and any(
                first.started_at <= kill <= came + SLOW_COMMIT_SECONDS for kill in kills
            )
    return False
