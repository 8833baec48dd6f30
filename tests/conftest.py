"""Fixtures for the real components. Each test gets what it starts from; nothing is shared but a running process."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

import tests.hypothesis_profiles  # noqa: F401 - loads one
from refreshd.adapters.sql.migrate import migrate
from refreshd.adapters.sql.postgres import PostgresEngines
from tests.components.oidc_server import SECRETS, OidcServer
from tests.components.postgres_server import PostgresServer
from tests.components.redis_server import RedisServer
from tests.fakes import START


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits longest starts first, so that the others run beside it: a time-out of its own marks it.

    What keeps a processor busy for a minute is of the group `busy`, which runs one after the other beside the rest: several at
    once would make each other late, and lateness is what some of them measure.
    """
    items.sort(key=_weight, reverse=True)


def _weight(item: pytest.Item) -> float:
    own = item.get_closest_marker("timeout")
    return float(own.args[0]) if own else float("/system/" in str(item.path))


@pytest.fixture(scope="module")
def oidc_process() -> Iterator[OidcServer]:
    """One authorization server for a module; tests ask for `oidc`, which cleans it before each use."""
    with OidcServer() as server:
        yield server
        assert server.errors() == ""


@pytest.fixture
def oidc(oidc_process: OidcServer) -> OidcServer:
    """The module's authorization server, healthy, with empty counts and ledger and its first secrets."""
    oidc_process.fault()
    oidc_process.latency(0)
    for client, secret in SECRETS.items():
        oidc_process.set_secret(client, secret)
    oidc_process.forget()
    return oidc_process


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """An empty Redis of this test's own."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of a process, which leave it running; each takes a database of its own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_database(postgres_server: PostgresServer) -> str:
    """An empty store to copy, as migrating takes longer than copying."""
    url = postgres_server.database()
    engines = PostgresEngines(url, limit=timedelta(seconds=30))
    migrate(engines, now=START)
    engines.close()
    return url
