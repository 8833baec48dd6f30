"""Providers are data: what each preset says, how a client overrides it, and how a client proves itself."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.config.providers import presets
from refreshd.config.settings import PROVIDER_KEYS, ProviderProfile
from refreshd.domain.client import AuthMethod, ClientIdIn
from refreshd.domain.policy import LifetimeFrom
from tests.unit.config.configurations import CLIENT, client, only_fault


def profile(directory: Path, text: str = "") -> ProviderProfile:
    return client(directory, text).provider_profile


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The facts of a preset that requests and deadlines depend on."""

    token_endpoint: str | None
    access: timedelta
    refresh: timedelta | None
    counted_from: LifetimeFrom
    scope: str
    id_in: ClientIdIn


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        (
            "frameio-v2",
            Expected(
                token_endpoint="https://applications.frame.io/oauth2/token",
                access=timedelta(hours=1),
                refresh=timedelta(days=30),
                counted_from=LifetimeFrom.UNKNOWN,
                scope="offline",
                id_in=ClientIdIn.FORM,
            ),
        ),
        (
            "frameio-v4",
            Expected(
                token_endpoint="https://ims-na1.adobelogin.com/ims/token/v3",
                access=timedelta(hours=24),
                refresh=timedelta(days=14),
                counted_from=LifetimeFrom.ROTATION,
                scope="offline_access",
                id_in=ClientIdIn.QUERY,
            ),
        ),
    ],
)
def test_the_presets_say_what_the_providers_document(tmp_path: Path, provider: str, expected: Expected) -> None:
    """A change here is a change of behaviour for every user of the preset."""
    found = profile(tmp_path, f'provider = "{provider}"')
    assert expected == Expected(
        token_endpoint=found.token_endpoint,
        access=found.access_token_lifetime,
        refresh=found.refresh_token_lifetime,
        counted_from=found.refresh_token_lifetime_from,
        scope=found.required_scope,
        id_in=found.client_id_in,
    )
    assert (timedelta(0), ()) == (found.reuse_grace, found.rejection_codes)


def test_the_other_endpoints_of_the_presets(tmp_path: Path) -> None:
    """For logins and revocation; V2 documents no revocation for OAuth applications."""
    v2, v4 = profile(tmp_path), profile(tmp_path, 'provider = "frameio-v4"')
    assert v2.authorization_endpoint == "https://applications.frame.io/oauth2/auth"
    assert v2.revocation_endpoint is None
    assert v2.userinfo_endpoint == "https://api.frame.io/v2/me"
    assert v4.authorization_endpoint == "https://ims-na1.adobelogin.com/ims/authorize/v2"
    assert v4.revocation_endpoint == "https://ims-na1.adobelogin.com/ims/revoke"
    assert v4.userinfo_endpoint == "https://ims-na1.adobelogin.com/ims/userinfo/v2"


def test_frameio_v2_is_the_default_and_says_that_it_ends(tmp_path: Path) -> None:
    """Under its own name and its alias; the successor has nothing to announce."""
    assert client(tmp_path, "") == client(tmp_path, 'provider = "frameio"')
    assert client(tmp_path, "").provider == "frameio-v2"
    assert "frameio-v4" in profile(tmp_path).notice
    assert profile(tmp_path, 'provider = "frameio-v4"').notice == ""


def test_presets_hold_nothing_but_provider_keys() -> None:
    """A misspelt key in a preset would be dropped without a word."""
    assert set() == {key for preset in presets().values() for key in preset} - PROVIDER_KEYS - {"aliases"}


def test_the_generic_provider_needs_a_token_endpoint_and_little_else(tmp_path: Path) -> None:
    """Its refresh tokens have no known end, so nobody is warned of one."""
    assert only_fault(tmp_path, CLIENT + 'provider = "generic"').startswith("clients.acme.token_endpoint: is needed")
    found = profile(tmp_path, 'provider = "generic"\ntoken_endpoint = "https://login.example/token"')
    assert (None, LifetimeFrom.UNKNOWN) == (found.refresh_token_lifetime, found.refresh_token_lifetime_from)
    assert (timedelta(hours=1), None) == (found.access_token_lifetime, found.authorization_endpoint)


OVERRIDES = {
    "issuer": "https://i.example",
    "authorization_endpoint": "https://a.example",
    "authorization_parameters": ["prompt=consent"],
    "token_endpoint": "https://t.example",
    "revocation_endpoint": "https://r.example",
    "userinfo_endpoint": "https://u.example",
    "client_auth": ["none"],
    "client_credentials_auth": "client_secret_post",
    "client_id_in": "query",
    "access_token_lifetime": "2h",
    "refresh_token_lifetime": "1d",
    "refresh_token_lifetime_from": "login",
    "reuse_grace": "1m",
    "required_scope": "forever",
    "rejection_codes": ["dead"],
    "notice": "be quick",
}


def test_every_key_of_a_provider_can_be_overridden(tmp_path: Path) -> None:
    """A provider that changes its mind needs no new release of ours."""
    assert PROVIDER_KEYS == OVERRIDES.keys()
    found = profile(tmp_path, "\n".join(f"{key} = {json.dumps(value)}" for key, value in OVERRIDES.items()))
    assert ("https://i.example", "https://a.example") == (found.issuer, found.authorization_endpoint)
    assert (("prompt=consent",), (AuthMethod.POST,)) == (found.authorization_parameters, found.client_credentials_auth)
    assert found.token_endpoint == "https://t.example"
    assert found.revocation_endpoint == "https://r.example"
    assert found.userinfo_endpoint == "https://u.example"
    assert ((AuthMethod.NONE,), ClientIdIn.QUERY) == (found.client_auth, found.client_id_in)
    assert (timedelta(hours=2), timedelta(days=1)) == (found.access_token_lifetime, found.refresh_token_lifetime)
    assert (LifetimeFrom.LOGIN, timedelta(minutes=1)) == (found.refresh_token_lifetime_from, found.reuse_grace)
    assert ("forever", ("dead",), "be quick") == (found.required_scope, found.rejection_codes, found.notice)


def test_what_a_preset_has_can_be_taken_away(tmp_path: Path) -> None:
    """TOML knows no null: "" and "none" say it."""
    found = profile(
        tmp_path, 'userinfo_endpoint = ""\nrefresh_token_lifetime = "none"\nrequired_scope = ""\nnotice = ""'
    )
    assert (None, None) == (found.userinfo_endpoint, found.refresh_token_lifetime)
    assert ("", "") == (found.required_scope, found.notice)


@pytest.mark.parametrize(
    ("client_auth", "secret", "method"),
    [
        ('["client_secret_basic", "none"]', True, AuthMethod.BASIC),
        ('["client_secret_basic", "none"]', False, AuthMethod.NONE),
        ('["client_secret_post", "client_secret_basic"]', True, AuthMethod.POST),
        ('"client_secret_post"', True, AuthMethod.POST),
        ('"none"', False, AuthMethod.NONE),
    ],
)
def test_the_first_method_that_fits_the_secret_is_used(
    tmp_path: Path, client_auth: str, *, secret: bool, method: AuthMethod
) -> None:
    """A client without a secret is a public one (PKCE), and must not send an Authorization header."""
    line = 'client_secret = "s3cret"\n' if secret else ""
    assert method == profile(tmp_path, f"{line}client_auth = {client_auth}").auth_method


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_method_with_a_secret_needs_one(tmp_path: Path, method: str) -> None:
    """Otherwise every refresh would fail as a wrong client."""
    assert only_fault(tmp_path, f'{CLIENT}client_auth = "{method}"') == (
        f"clients.acme.client_secret: is needed for {method}; "
        'give client_secret_file, or set client_auth to "none" for a public client'
    )


def test_the_method_none_forbids_a_secret(tmp_path: Path) -> None:
    """It would never be sent, and somebody believes that it is."""
    assert only_fault(tmp_path, f'{CLIENT}client_auth = "none"\nclient_secret = "hunter2"') == (
        'clients.acme.client_secret = "***" (a string): a client that proves itself by "none" has no secret; '
        "remove it, or set client_auth"
    )


@pytest.mark.parametrize("value", ['"basic"', "[]", "5", '["none", 5]', '"client_secret_jwt"'])
def test_other_methods_are_refused(tmp_path: Path, value: str) -> None:
    """One fault, not a second one about the secret."""
    assert only_fault(tmp_path, f"{CLIENT}client_auth = {value}").startswith("clients.acme.client_auth = ")


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ('"frameio-v3"', "did you mean frameio-v"),
        ('"okta"', "for any other provider take generic with its issuer or its endpoints"),
        ("5", "must be one of frameio-v2, frameio-v4, generic"),
    ],
)
def test_an_unknown_provider_is_a_fault_with_a_hint(tmp_path: Path, value: str, hint: str) -> None:
    """Never a silent default."""
    fault = only_fault(tmp_path, f"{CLIENT}provider = {value}")
    assert fault.startswith(f"clients.acme.provider = {value} (")
    assert hint in fault
