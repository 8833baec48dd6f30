"""A provider by its issuer, and clients without people: what the configuration allows, and what it would not let happen."""

from pathlib import Path

import pytest

from refreshd.config import effective, to_toml
from refreshd.config.settings import ProviderProfile
from refreshd.domain.client import AuthMethod, GrantType
from tests.unit.config.configurations import CLIENT, client, loaded, only_fault, write

ISSUER = 'issuer = "https://login.example/t"\n'


def secret(directory: Path) -> str:
    write(directory, "s3cret", name="acme.secret")
    return 'client_secret_file = "acme.secret"\n'


def profile(directory: Path, text: str) -> ProviderProfile:
    return client(directory, text).provider_profile


def test_an_issuer_alone_is_enough(tmp_path: Path) -> None:
    """With the preset generic, or without any: nobody who names an issuer means Frame.io."""
    for text in (ISSUER, ISSUER + 'provider = "generic"'):
        found = client(tmp_path, text)
        assert ("generic", "https://login.example/t") == (found.provider, found.provider_profile.issuer)
        assert found.provider_profile.token_endpoint is None


def test_an_empty_issuer_is_none(tmp_path: Path) -> None:
    """As every other endpoint; the default provider stays what it is."""
    assert "frameio-v2" == client(tmp_path, 'issuer = ""').provider


@pytest.mark.parametrize("provider", ["frameio-v2", "frameio-v4"])
def test_an_issuer_beside_a_preset_with_endpoints_is_a_fault(tmp_path: Path, provider: str) -> None:
    """The preset's endpoints would count, and the secret would go to the other provider."""
    fault = only_fault(tmp_path, f'{CLIENT}provider = "{provider}"\n{ISSUER}')
    assert fault.startswith("clients.acme.issuer = ")
    assert 'provider = "generic"' in fault


@pytest.mark.parametrize(
    ("issuer", "said"),
    [
        ("http://login.example", "https"),
        ("https://login.example?tenant=1", "no query"),
        ("https://login.example#x", "fragment"),
        ("login.example", "https"),
        ("https://login.example/" + "x" * 500, "must not be longer than 512"),
    ],
)
def test_an_issuer_that_could_be_listened_to_is_a_fault(tmp_path: Path, issuer: str, said: str) -> None:
    """RFC 8414 §2; to this machine http will do."""
    assert said in only_fault(tmp_path, f'{CLIENT}issuer = "{issuer}"')
    assert profile(tmp_path, 'issuer = "http://127.0.0.1:9000"').issuer == "http://127.0.0.1:9000"


def test_what_is_printed_reads_back_the_same(tmp_path: Path) -> None:
    """Defaults that `config print` shows must not come to count before what the issuer publishes."""
    text = CLIENT + ISSUER + 'revocation_endpoint = ""\n'
    first = loaded(tmp_path, text).settings
    again = loaded(tmp_path, to_toml(effective(first))).settings
    assert first == again
    fields = again.clients["acme"].provider_profile.model_fields_set
    assert "revocation_endpoint" in fields
    assert not fields & {"token_endpoint", "userinfo_endpoint", "client_auth"}


def test_a_client_without_people_needs_a_secret(tmp_path: Path) -> None:
    """It proves itself by nothing else."""
    text = 'provider = "frameio-v4"\ngrant = "client_credentials"\n'
    for public in (text + 'client_auth = "none"\n', text):
        assert only_fault(tmp_path, CLIENT + public).startswith("clients.acme.client_secret: is needed")
    found = client(tmp_path, text + secret(tmp_path))
    assert GrantType.CLIENT_CREDENTIALS is found.grant


def test_an_unknown_grant_is_a_fault(tmp_path: Path) -> None:
    """With what would be right."""
    assert '"refresh_token" or "client_credentials"' in only_fault(tmp_path, f'{CLIENT}grant = "password"')


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ('grant = "client_credentials"', AuthMethod.POST),
        ('grant = "refresh_token"', AuthMethod.BASIC),
        ('grant = "client_credentials"\nclient_auth = "client_secret_basic"', AuthMethod.BASIC),
        ('grant = "client_credentials"\nclient_credentials_auth = ""', AuthMethod.BASIC),
    ],
)
def test_adobe_takes_a_services_secret_in_the_form_and_a_web_apps_by_basic(
    tmp_path: Path, text: str, method: AuthMethod
) -> None:
    """As Adobe documents it for each; the client's own word wins."""
    assert method is profile(tmp_path, f'provider = "frameio-v4"\n{secret(tmp_path)}{text}').auth_method


def test_a_service_is_not_told_to_ask_for_offline_access(tmp_path: Path) -> None:
    """There is no refresh token that the scope could give."""
    text = f'{CLIENT}provider = "frameio-v4"\ngrant = "client_credentials"\nscope = "openid"\n{secret(tmp_path)}'
    assert () == loaded(tmp_path, text).warnings


def test_scopes_separated_by_commas_are_read_as_such(tmp_path: Path) -> None:
    """Adobe writes them so; a warning that offline_access is missing would be wrong."""
    text = f'{CLIENT}provider = "frameio-v4"\nscope = "openid,offline_access,profile"\n{secret(tmp_path)}'
    assert () == loaded(tmp_path, text).warnings
