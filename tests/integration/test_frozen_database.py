"""A database that neither answers nor goes away: it is given up within a bound, nothing is lost, and it goes on afterwards."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.sql.postgres import PostgresEngines
from refreshd.domain.secret import Secret
from refreshd.ports.store import Committed, StoreUnavailable
from tests.components.postgres_server import PostgresServer
from tests.components.tcp_proxy import TcpProxy
from tests.contract.stores import PostgresBed, grant
from tests.fakes import success
from tests.integration.test_postgres import Member, tokens

LIMIT = timedelta(seconds=1)
BOUND = 8.0
"""The limit, the driver's grace, one fresh connection, and a busy machine."""


@pytest.fixture
def bed(postgres_server: PostgresServer, migrated_database: str, tmp_path: Path) -> Iterator[PostgresBed]:
    with PostgresBed(tmp_path, url=postgres_server.database(like=migrated_database)) as made:
        made.add(grant("a"), grant("b"))
        yield made


@contextmanager
def behind(bed: PostgresBed, port: int) -> Iterator[Member]:
    host, _, name = bed.url.rpartition("@")[2].partition("/")
    engines = PostgresEngines(bed.url.replace(f"{host}/{name}", f"127.0.0.1:{port}/{name}"), limit=LIMIT)
    one = Member(bed, "a", bed.directory / "spool", engines, timedelta(0))
    try:
        yield one
    finally:
        one.close()


def sessions(server: PostgresServer, bed: PostgresBed) -> list[int]:
    name = bed.url.rpartition("/")[2]
    return [int(str(pid)) for (pid,) in server.ask(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'")]


async def test_a_line_that_swallows_everything_is_given_up(bed: PostgresBed, postgres_server: PostgresServer) -> None:
    """The answer stays in the spool and is stored once the line is back; what waited behind it does not wait once more each."""
    with TcpProxy("127.0.0.1", postgres_server.port) as line, behind(bed, line.port) as one:
        await one.replicas.sign_of_life()
        [attempt, other] = await one.claim()
        line.blackhole()
        began = time.monotonic()
        asked = [
            one.commit(attempt, success(refresh="the-new-one")),
            *(one.replicas.sign_of_life() for _ in range(10)),
            one.claim(),
        ]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert time.monotonic() - began < BOUND
        assert {StoreUnavailable} == {type(each) for each in found}
        assert isinstance(found[0], StoreUnavailable)
        assert found[0].kept
        line.pass_through()
        assert Committed() == await one.commit(attempt, success(refresh="the-new-one"))
        assert Committed() == await one.commit(other, success(refresh="another"))
    bed.engines.close()
    stored = {attempt.credential.id: Secret("the-new-one"), other.credential.id: Secret("another")}
    assert stored == tokens(bed)


async def test_a_frozen_session_is_given_up_for_a_fresh_one(bed: PostgresBed, postgres_server: PostgresServer) -> None:
    """SIGSTOP of every process that serves us: its limits are as frozen as itself."""
    with behind(bed, postgres_server.port) as one:
        await one.replicas.sign_of_life()
        [attempt] = await one.claim(1)
        frozen = sessions(postgres_server, bed)
        assert frozen
        try:
            _send(frozen, signal.SIGSTOP)
            began = time.monotonic()
            assert Committed() == await one.commit(attempt, success(refresh="the-new-one"))
            assert time.monotonic() - began < BOUND
        finally:
            _send(frozen, signal.SIGCONT)
        assert Secret("the-new-one") == tokens(bed)[attempt.credential.id]


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)
