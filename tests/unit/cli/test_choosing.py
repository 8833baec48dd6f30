"""Which credentials a command is for: a name that does not exist is refused, the same everywhere."""

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command


@pytest.mark.parametrize(
    "arguments", [("list",), ("pause",), ("resume",), ("adopt",), ("remove",), ("remove", "--revoke")]
)
def test_a_client_that_does_not_exist_is_refused_everywhere(
    command: Command, add: Command, arguments: tuple[str, ...]
) -> None:
    """An empty table would say that all is well; the names that there are show the mistyped one."""
    add({"id": "a"})
    done = command(*arguments, "--client", "amce")
    assert (1, "") == (done.code, done.stdout)
    assert "there is no client 'amce', neither configured nor in the store (there are: acme, idle)" in done.stderr


def test_a_client_without_credentials_has_an_empty_list(command: Command, add: Command) -> None:
    """It is configured: nothing is wrong."""
    add({"id": "a"})
    assert (0, "") == (
        command("list", "--client", "idle", "--json").code,
        command("list", "--client", "idle", "--json").stdout,
    )
    assert "client 'idle' has no credentials" in command("pause", "--client", "idle").stderr


def test_a_client_that_is_only_stored_can_be_named(config: Path, command: Command, add: Command) -> None:
    """Taken out of the configuration, its credentials are still there to be looked at and removed."""
    add({"id": "a"})
    config.write_text(config.read_text().replace("acme", "acme2"))
    assert '"id": "a"' in command("list", "--client", "acme", "--json").stdout
    assert "1 removed\n" == command("remove", "--client", "acme").stdout
