"""`token` asks for nothing that it cannot get."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from refreshd.config import load
from refreshd.domain.grant import read_grant
from refreshd.wiring.store import open_store, run_lock
from tests.unit.cli.conftest import LOGIN, Command


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


def test_a_provider_that_begins_to_issue_shorter_tokens_is_not_waited_for(
    config: Path, command: Command, add: Command
) -> None:
    """The one refresh that was asked for shows it."""
    now = int(time.time())
    add({"id": "a", "access_token": "at", "issued_at": now - 4200, "expires_at": now + 3000})
    settings = load(config, environ={}).settings
    with run_lock(settings), open_store(settings) as opened, ThreadPoolExecutor(1) as pool:
        running = pool.submit(command, "token", "a", "--min-valid", "1h", "--wait", "30s")
        until = time.monotonic() + 20
        while (opened.inventory.views()[0].next_attempt_at or opened.clock.now()) > opened.clock.now():
            assert time.monotonic() < until, "it was not made due"
        fresh = {**LOGIN, "id": "a", "access_token": "short", "issued_at": now, "expires_at": now + 20}
        grant = read_grant(fresh, credential_id=None, client=None)
        opened.importer(settings).write([grant], replace=True, now=opened.clock.now(), progress=lambda _count: None)
        done = running.result(timeout=10)
    assert (1, True) == (done.code, "the access tokens of a live 20s" in done.stderr)
