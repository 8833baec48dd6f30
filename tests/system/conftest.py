"""An installation whose every output is searched for planted secrets when its test ends."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components.oidc_server import OidcServer
from tests.components.redis_server import RedisServer
from tests.system.installation import Installation


@pytest.fixture
def install(tmp_path: Path, oidc: OidcServer, redis_server: RedisServer) -> Iterator[Callable[..., Installation]]:
    """Make an installation. At the end, nothing that any command printed may hold a planted secret."""
    made: list[Installation] = []

    def make(**settings: Any) -> Installation:
        made.append(Installation(tmp_path, oidc, redis_server.url, **settings))
        return made[-1]

    yield make
    for one in made:
        assert set() == one.leaks()
