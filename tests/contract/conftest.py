"""Every test of the contract runs on every store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.postgres_server import PostgresServer
from tests.contract.stores import Bed, PostgresBed, SqliteBed


@pytest.fixture(params=["sqlite", "postgres"])
def bed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bed]:
    """A store of this test's own."""
    with bed_on(request.param, tmp_path, request) as made:
        yield made


def bed_on(store: str, directory: Path, request: pytest.FixtureRequest) -> Bed:
    """The server is started only by a test that needs it."""
    if store == "sqlite":
        return SqliteBed(directory)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    empty: str = request.getfixturevalue("migrated_database")
    return PostgresBed(directory, url=server.database(like=empty))
