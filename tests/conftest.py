"""Fixtures for the real components. Each test gets what it starts from; nothing is shared but a running process."""

from collections.abc import Iterator

import pytest

from tests.components.oidc_server import SECRETS, OidcServer
from tests.components.redis_server import RedisServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits longest starts first, so that the others run beside it: a time-out of its own marks it."""
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
