"""`check` says ok to nothing that cannot work, and changes nothing."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import CLIENTS, Command

REPO = Path(__file__).parents[3]


def faults(command: Command) -> list[str]:
    """But that of Redis, which is not there."""
    done = command("check", "--json")
    assert 1 == done.code
    found: list[str] = json.loads(done.stdout)["faults"]
    return [fault for fault in found if not fault.startswith("Redis cannot be reached")]


def test_a_store_is_looked_for_and_not_made(config: Path, command: Command, add: Command) -> None:
    """`run` makes it, as the user that it runs as."""
    done = command("check")
    assert "store: none yet" in done.stdout
    assert f"note: there is no store at {config.parent}/refreshd.db yet; `refreshd login`" in done.stdout
    assert [] == list(config.parent.glob("*.db*"))
    assert [] == faults(command)
    add({"id": "a"})
    assert "store: 1 credentials" in command("check").stdout


@pytest.mark.parametrize("placeholder", ["REPLACE-ME", "YOUR-CLIENT-ID"])
def test_a_placeholder_is_a_fault(config: Path, command: Command, placeholder: str) -> None:
    """Whoever copies an example has to fill it in."""
    config.write_text(config.read_text().replace("acme-id", placeholder))
    assert [
        "clients.acme.client_id is still a placeholder; write what the provider gave to your registration"
    ] == faults(command)
    assert 1 == command("check").code


def test_a_secret_that_is_a_placeholder_is_a_fault(config: Path, command: Command) -> None:
    """As in the Secret that we show for Kubernetes."""
    (config.parent / "idle.secret").write_text("REPLACE-ME\n")
    config.write_text(config.read_text() + 'client_secret_file = "idle.secret"\n')
    assert ["clients.idle.client_secret"] == [fault.split()[0] for fault in faults(command)]


def test_a_configuration_without_clients_is_a_fault(config: Path, command: Command) -> None:
    """Mostly it is the wrong file."""
    config.write_text(config.read_text().replace(CLIENTS, ""))
    assert ["no client is configured"] == [fault.split(",")[0] for fault in faults(command)]


@pytest.mark.parametrize(
    "example", ["config.example.toml", "deploy/k8s/config.toml", "deploy/k8s-postgresql/config.toml"]
)
def test_the_placeholders_of_our_examples_are_known(example: str) -> None:
    """Or a copy of one would pass."""
    assert 'client_id = "REPLACE-ME"' in (REPO / example).read_text()
