"""An installation for commands that need no daemon: a configuration with two clients, a key ring, and a store once it is made."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.commands import Ended, refreshd
from tests.unit.config.configurations import write

LOGIN = {"client": "acme", "refresh_token": "planted-refresh-token"}
CLIENTS = """
[clients.acme]
client_id = "acme-id"
[clients.idle]
client_id = "idle-id"
"""
Command = Callable[..., Ended]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """With a Redis that is not there."""
    place = f'[store]\nurl = "sqlite:///{tmp_path}/refreshd.db"\nencryption_key_file = "encryption.key"\n'
    path = write(tmp_path, f'{place}[redis]\nurl = "redis://127.0.0.1:1/0"\n{CLIENTS}')
    assert 0 == refreshd(path, "keys", "new").code
    return path


@pytest.fixture
def command(config: Path) -> Command:
    def run(*arguments: str, stdin: str = "") -> Ended:
        return refreshd(config, *arguments, stdin=stdin)

    return run


@pytest.fixture
def add(command: Command) -> Command:
    """Import logins with these fields, of client acme unless they say otherwise."""

    def run(*entries: dict[str, object], replace: bool = False) -> Ended:
        lines = "\n".join(json.dumps({**LOGIN, "refresh_token": f"token-of-{one['id']}", **one}) for one in entries)
        return command("import", "-", *(["--replace"] if replace else []), stdin=lines)

    return run
