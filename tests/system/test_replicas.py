"""Three real daemons on one PostgreSQL and one Redis: consumers' requests, and a database that freezes."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from refreshd.demo.grants import Rules
from refreshd.demo.provider import ProviderThread
from tests.components.postgres_server import PostgresServer
from tests.components.redis_server import RedisServer
from tests.programme.daemons.asking import status, until, url_of
from tests.programme.daemons.installation import Installation, MarkedLedger, names
from tests.programme.daemons.processes import ForkServer, Process

ASKED = 1000
CREDENTIALS = 10
READY_SECONDS = 30.0
LIFETIME = 3600.0


@pytest.fixture
def provider() -> Iterator[ProviderThread]:
    with ProviderThread(MarkedLedger(Rules(access_lifetime=LIFETIME))) as made:
        yield made


@pytest.fixture
def installation(
    tmp_path: Path, postgres_server: PostgresServer, redis_server: RedisServer, provider: ProviderThread
) -> Iterator[Installation]:
    """Tokens that live for an hour, so that only a request has them refreshed."""
    with ForkServer() as fork:
        made = Installation(
            directory=tmp_path,
            server=fork,
            provider=provider,
            redis_url=redis_server.url,
            scheduler={"commit_timeout": "2s"},
            lifetime=LIFETIME,
            url=postgres_server.database(),
        )
        made.log_in(names(CREDENTIALS))
        yield made


def started(installation: Installation, count: int) -> list[Process]:
    daemons = [installation.daemon() for _ in range(count)]
    assert all(one.wait_for("daemon.ready", READY_SECONDS) for one in daemons)
    return daemons


def stopped(daemons: list[Process]) -> list[int]:
    for one in daemons:
        one.send(signal.SIGTERM)
        one.ended(READY_SECONDS)
    return [one.end() for one in daemons]


@pytest.mark.timeout(150)
def test_requests_to_three_replicas_are_limited_over_all(
    installation: Installation, postgres_server: PostgresServer, redis_server: RedisServer, provider: ProviderThread
) -> None:
    """A thousand for one credential cause one refresh; then one each for the others, one a second in all."""
    daemons, client = started(installation, 3), redis_server.client()
    first, *others = sorted(installation.families)
    until(lambda: client.exists(f"refreshd:token:{first}") == 1, READY_SECONDS)

    def ask(name: str) -> None:
        client.xadd("refreshd:requests", {"id": name, "generation": "1"})

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(ask, [first] * ASKED))
    assert until(lambda: client.xlen("refreshd:requests") == 0, READY_SECONDS)
    assert until(lambda: provider.requests() == 1, READY_SECONDS)
    for name in others:
        ask(name)
    assert until(lambda: client.xlen("refreshd:requests") == 0, READY_SECONDS)
    log: Any = postgres_server.ask(
        "SELECT credential_id, started_at FROM attempt_log ORDER BY started_at",
        database=installation.url.rpartition("/")[2],
    )
    turns: Any = postgres_server.ask(
        "SELECT requested_at FROM credential WHERE requested_at IS NOT NULL ORDER BY 1",
        database=installation.url.rpartition("/")[2],
    )
    assert [0, 0, 0] == stopped(daemons)
    accepted = [one for daemon in daemons for one in daemon.events("credential.refresh_requested")]
    assert 1 == sum(one["verdict"] == "accepted" and one["id"] == first for one in accepted)
    assert 1 == sum(name == first for name, _ in log)
    assert len(turns) >= CREDENTIALS / 2
    assert min(later - earlier for (earlier,), (later,) in pairwise(turns)) >= 1_000_000


@pytest.mark.timeout(120)
def test_a_frozen_database_is_told_of_and_survived(
    installation: Installation, postgres_server: PostgresServer, provider: ProviderThread
) -> None:
    """Every process of it stands still: not ready, live, and said so; thawed, refreshing goes on and no login is lost."""
    [daemon] = daemons = started(installation, 1)
    base = url_of(daemon)
    assert until(lambda: status(f"{base}/readyz") == 200, READY_SECONDS)
    database = installation.url.rpartition("/")[2]
    found = postgres_server.ask(f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'")
    sessions = [int(str(pid)) for (pid,) in found]
    try:
        postgres_server.freeze(frozen=True)
        _send(sessions, signal.SIGSTOP)
        assert until(lambda: daemon.said("store.unavailable"), 15)
        assert until(lambda: status(f"{base}/readyz") == 503, 15)
        assert 200 == status(f"{base}/livez")
    finally:
        _send(sessions, signal.SIGCONT)
        postgres_server.freeze(frozen=False)
    assert until(lambda: status(f"{base}/readyz") == 200, READY_SECONDS)
    installation.log_in(["basic/new"], due=True)
    assert until(lambda: provider.requests() >= 1, READY_SECONDS)
    assert [0] == stopped(daemons)
    assert all(family.alive for family in provider.families().values())


@pytest.mark.timeout(120)
def test_a_start_beside_a_lock_that_nobody_gives_up(installation: Installation, provider: ProviderThread) -> None:
    """A replica that stands still in a transaction: the next one is there, claims nothing, and goes on when the lock is gone."""
    installation.log_in(["basic/new"], due=True)
    with psycopg.connect(installation.url.replace("+psycopg", "")) as standing:
        standing.execute("LOCK TABLE duty IN ACCESS EXCLUSIVE MODE")
        [daemon] = daemons = started(installation, 1)
        assert any(one["doing"] == "sign of life" for one in daemon.events("store.unavailable"))
        assert 0 == provider.requests()
        standing.rollback()
    assert until(lambda: provider.requests() >= 1, READY_SECONDS)
    assert [0] == stopped(daemons)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)
