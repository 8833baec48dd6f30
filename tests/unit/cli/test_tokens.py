"""`token` asks for nothing that it cannot get."""

import time

import pytest

from tests.unit.cli.conftest import Command


@pytest.mark.parametrize(("lifetime", "least"), [(20, "60s"), (60, "1m"), (3600, "2h")])
def test_a_token_that_can_never_live_so_long_is_refused_at_once(
    command: Command, add: Command, lifetime: int, least: str
) -> None:
    """A refresh would be spent in vain, and the wait too; the row is not made due."""
    now = int(time.time())
    add({"id": "a", "access_token": "at", "issued_at": now, "expires_at": now + lifetime})
    before = command("show", "a", "--json").stdout
    done = command("token", "a", "--min-valid", least)
    assert 1 == done.code
    assert "from the moment they are issued, so none has" in done.stderr
    assert before == command("show", "a", "--json").stdout
