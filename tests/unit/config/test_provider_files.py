"""Providers of the user's own: files beside the configuration, in the presets' format, with faults that name file and key."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.config import load
from refreshd.config.settings import PROVIDER_KEYS, ClientSettings
from refreshd.domain.client import AuthMethod
from refreshd.domain.policy import LifetimeFrom
from tests.unit.config.configurations import CLIENT, client, faults, only_fault, write

PAGE = Path(__file__).parents[3] / "docs/providers.md"
FRAMEIO = PAGE.with_name("frameio.md")
OKTA = 'token_endpoint = "https://okta.example/token"\n'


def own(directory: Path, text: str, *, name: str = "okta") -> Path:
    return write(directory, text, name=f"providers/{name}.toml", mode=0o644)


def test_a_client_uses_a_provider_of_the_users_own(tmp_path: Path) -> None:
    """By the file's name; the client's own keys still win."""
    own(tmp_path, OKTA + 'client_auth = "none"\naccess_token_lifetime = "2h"\naliases = ["sso"]\n')
    found = client(tmp_path, 'provider = "okta"\nrequired_scope = "offline"\naccess_token_lifetime = "3h"')
    assert ("okta", "https://okta.example/token") == (found.provider, found.provider_profile.token_endpoint)
    assert ("offline", timedelta(hours=3)) == (
        found.provider_profile.required_scope,
        found.provider_profile.access_token_lifetime,
    )
    assert "okta" == client(tmp_path, 'provider = "sso"').provider


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ('token_endpoint = "http://okta.example/token"', "okta.toml: token_endpoint", "must be an https URL"),
        (OKTA + 'token_endpiont = "x"', "okta.toml: token_endpiont", "did you mean token_endpoint?"),
        (OKTA + 'client_id = "x"', "okta.toml: client_id", "it belongs to [clients.NAME]"),
        (OKTA + 'client_secret = "planted"', "okta.toml: client_secret", "it belongs to [clients.NAME]"),
        (OKTA + "access_token_lifetime = 5", "okta.toml: access_token_lifetime", "must be a string with a unit"),
        (OKTA + 'client_auth = ["jwt"]', "okta.toml: client_auth", "must be"),
        (OKTA + "aliases = 1", "okta.toml: aliases", "must be a list of names"),
        (OKTA + 'aliases = ["frameio"]', "okta.toml", "there is a provider named frameio already"),
        ('client_auth = "none"', "okta.toml", "names neither an issuer nor a token_endpoint"),
        ("token_endpoint = ", "okta.toml", "is not valid TOML"),
        ('issuer = "https://okta.example/?x"', "okta.toml: issuer", "must hold no query"),
    ],
)
def test_a_fault_names_file_and_key(tmp_path: Path, text: str, path: str, said: str) -> None:
    """Also when no client uses it; never a secret that was put into the wrong file."""
    own(tmp_path, text)
    fault = only_fault(tmp_path)
    assert f"{tmp_path}/providers/{path}" in fault
    assert said in fault
    assert "planted" not in fault


def test_a_client_of_a_broken_file_is_not_faulted_a_second_time(tmp_path: Path) -> None:
    """One mistake, one line; the client's own mistakes are told beside it."""
    own(tmp_path, 'token_endpoint = "nonsense"')
    found = faults(tmp_path, CLIENT + 'provider = "okta"\nclient_secret_file = "none"\nmax_rate = 1')
    assert 3 == len(found), found


@pytest.mark.parametrize("name", ["frameio-v2", "frameio", "generic"])
def test_a_preset_is_not_replaced_behind_its_users_backs(tmp_path: Path, name: str) -> None:
    """Who wants another endpoint says so in the client's table."""
    own(tmp_path, OKTA, name=name)
    assert f"there is a provider named {name} already" in only_fault(tmp_path)


def test_a_name_that_no_client_could_write_is_a_fault(tmp_path: Path) -> None:
    """Upper case, dots, an empty stem."""
    own(tmp_path, OKTA, name="Okta.eu")
    assert "is named by up to 32 lower-case letters" in only_fault(tmp_path)


def test_other_files_in_the_directory_are_left_alone(tmp_path: Path) -> None:
    """An editor's copy, a README."""
    write(tmp_path, "nonsense", name="providers/okta.toml.orig")
    write(tmp_path, "nonsense", name="providers/README")
    assert "frameio-v2" == client(tmp_path, "").provider


def test_an_unknown_provider_names_the_users_own_too(tmp_path: Path) -> None:
    """The list in the fault is the list of what would work."""
    own(tmp_path, OKTA)
    assert "frameio-v4, generic, okta" in only_fault(tmp_path, f'{CLIENT}provider = "octa"')


def test_a_file_may_name_an_issuer(tmp_path: Path) -> None:
    """Then the endpoints are the issuer's, unless the file or the client names them."""
    own(tmp_path, 'issuer = "https://okta.example"\nuserinfo_endpoint = "https://okta.example/me"')
    profile = client(tmp_path, 'provider = "okta"').provider_profile
    assert ("https://okta.example", None) == (profile.issuer, profile.token_endpoint)
    assert {"issuer", "userinfo_endpoint", "auth_method"} == profile.model_fields_set


def documented(name: str) -> str:
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_documented_example_loads_as_written(tmp_path: Path) -> None:
    """docs/providers.md: what a reader copies works."""
    write(tmp_path, documented("providers/box.toml"), name="providers/box.toml")
    write(tmp_path, "s3cret", name="box.secret")
    path = write(tmp_path, documented("config.toml"))
    loaded = load(path, environ={"HOME": str(tmp_path / "home")}, cwd=tmp_path)
    archive: ClientSettings = loaded.settings.clients["archive"]
    profile = archive.provider_profile
    assert ((), "box", AuthMethod.POST) == (loaded.warnings, archive.provider, profile.auth_method)
    assert (timedelta(days=60), LifetimeFrom.ROTATION) == (
        profile.refresh_token_lifetime,
        profile.refresh_token_lifetime_from,
    )


def test_the_configuration_of_a_move_to_v4_loads_as_written(tmp_path: Path) -> None:
    """docs/frameio.md: both registrations side by side, and a service, with nothing to warn of."""
    found = re.search(r"<!-- example: both -->\n```toml\n(.*?)```", FRAMEIO.read_text(), re.DOTALL)
    assert found is not None
    for name in ("frameio", "frameio-v4", "frameio-service"):
        write(tmp_path, "s3cret", name=f"{name}.secret")
    loaded = load(write(tmp_path, found[1]), environ={"HOME": str(tmp_path / "home")}, cwd=tmp_path)
    methods = {name: one.provider_profile.auth_method for name, one in loaded.settings.clients.items()}
    assert () == loaded.warnings
    assert methods == {
        "frameio": AuthMethod.BASIC,
        "frameio_v4": AuthMethod.BASIC,
        "frameio_service": AuthMethod.POST,
    }


def test_the_page_explains_every_key() -> None:
    """A key that is not in the table does not exist for who writes a provider."""
    explained = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert PROVIDER_KEYS | {"aliases"} == explained
