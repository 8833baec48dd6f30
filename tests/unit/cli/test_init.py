"""A first configuration is written whole or not at all, and says what was meant."""

import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.commands import refreshd

INIT = ("init", "--client-id", "conf")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "conf" / "config.toml"


def client(config: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(config.read_text())["clients"]["frameio"]
    return found


def test_what_is_written_loads_and_is_its_owners_alone(config: Path) -> None:
    """Configuration, secret and key ring, and nothing beside them."""
    done = refreshd(config, *INIT, stdin="s3cret\n")
    assert (0, f"{config}\n") == (done.code, done.stdout)
    assert {"config.toml", "frameio.secret", "encryption.key"} == {path.name for path in config.parent.iterdir()}
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in config.parent.iterdir()}
    assert "s3cret\n" == (config.parent / "frameio.secret").read_text()
    assert 0 == refreshd(config, "config", "print").code


@pytest.mark.parametrize("client_id", ['x"y\\z #é', "'''", "{name}", "日本"])
def test_a_client_id_may_hold_any_character_that_a_provider_chooses(config: Path, client_id: str) -> None:
    """It is data, not TOML."""
    assert 0 == refreshd(config, "init", "--client-id", client_id, "--pkce").code
    assert client_id == client(config)["client_id"]


def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    """Its paths stand in the file."""
    config = tmp_path / 'my "own" {key_file}' / "config.toml"
    assert 0 == refreshd(config, *INIT, stdin="s3cret\n").code
    assert 0 == refreshd(config, "config", "print").code


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--provider", "nosuch"), "clients.frameio.provider"),
        (("--provider", "generic"), "give --issuer URL, or --token-endpoint URL"),
        (("--token-endpoint", "http://login.example/token"), "clients.frameio.token_endpoint"),
        (("--issuer", "nonsense"), "clients.frameio.issuer"),
        (("--client", "../up"), "--client '../up'"),
        (("--client-id", "a\nb"), "without control characters"),
        (("--client-id", " "), "without control characters"),
        (("--client-secret-file", "/nonexistent/secret"), "clients.frameio.client_secret_file"),
        (("--client-secret-file", "x", "--pkce"), "leave out --client-secret-file"),
    ],
)
def test_what_does_not_work_leaves_nothing_behind(config: Path, arguments: tuple[str, ...], reason: str) -> None:
    """Exit 2, the reason, and the corrected command works at once, with the secret that it is given."""
    done = refreshd(config, *INIT, *arguments, stdin="wrong\n")
    assert (2, True) == (done.code, reason in done.stderr), done.stderr
    assert not config.parent.exists()
    assert 0 == refreshd(config, *INIT, stdin="right\n").code
    assert "right\n" == (config.parent / "frameio.secret").read_text()


def test_no_secret_where_one_is_needed_leaves_nothing_behind(config: Path) -> None:
    """Nobody can be asked."""
    assert (2, False) == (refreshd(config, *INIT).code, config.parent.exists())


def test_what_stands_there_is_left_as_it_is(config: Path) -> None:
    """A failed beginning takes away only what it made."""
    config.parent.mkdir()
    (config.parent / "encryption.key").write_text("ours")
    assert 2 == refreshd(config, *INIT, "--provider", "nosuch", "--pkce").code
    assert ["ours"] == [path.read_text() for path in config.parent.iterdir()]
    assert 0 == refreshd(config, *INIT, "--pkce").code
    assert "ours" == (config.parent / "encryption.key").read_text()
    again = refreshd(config, *INIT, "--pkce")
    assert (1, True) == (again.code, "exists; it is not overwritten" in again.stderr)


def test_another_secret_is_never_passed_over(config: Path) -> None:
    """The one that was piped in is the one that was meant; the same one, or none, takes what is there and says so."""
    config.parent.mkdir()
    own = config.parent / "frameio.secret"
    own.write_text("first\n")
    done = refreshd(config, *INIT, stdin="second\n")
    assert (1, True) == (done.code, f"{own} holds another client secret" in done.stderr)
    assert not config.exists()
    done = refreshd(config, *INIT, stdin="first\n")
    assert (0, True) == (done.code, f"the client secret is the one in {own}" in done.stderr)
    config.unlink()
    assert (0, "first\n") == (refreshd(config, *INIT).code, own.read_text())


@pytest.mark.parametrize(("option", "key"), [("--issuer", "issuer"), ("--token-endpoint", "token_endpoint")])
@pytest.mark.parametrize("provider", [(), ("--provider", "generic")])
def test_any_provider_can_be_begun_with(config: Path, option: str, key: str, provider: tuple[str, ...]) -> None:
    """By its metadata, or by its token endpoint; who names either means no preset."""
    url = "https://login.example/a"
    done = refreshd(config, *INIT, "--pkce", option, url, *provider)
    assert 0 == done.code, done.stderr
    assert ("generic", url) == (client(config)["provider"], client(config)[key])


def test_a_provider_of_ones_own_is_found_beside_the_configuration(config: Path) -> None:
    """As `run` will find it."""
    (config.parent / "providers").mkdir(parents=True)
    (config.parent / "providers" / "mine.toml").write_text('token_endpoint = "https://login.example/token"\n')
    done = refreshd(config, *INIT, "--pkce", "--provider", "mine")
    assert 0 == done.code, done.stderr
