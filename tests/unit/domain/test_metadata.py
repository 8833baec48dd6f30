"""A document that decides where secrets are sent is believed only if it is what was asked for."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.domain.client import AuthMethod
from refreshd.domain.metadata import (
    MAX_DOCUMENT,
    MetadataRefused,
    NotMetadata,
    ProviderMetadata,
    auth_method_of,
    is_safe_address,
    read_metadata,
    well_known,
)

ISSUER = "https://login.example/tenant"
FIELDS: dict[str, object] = {"issuer": ISSUER, "token_endpoint": "https://login.example/tenant/token"}


def read(**fields: object) -> ProviderMetadata:
    return read_metadata(json.dumps(FIELDS | fields).encode(), issuer=ISSUER)


def refusal(**fields: object) -> str:
    with pytest.raises(MetadataRefused) as refused:
        read(**fields)
    assert not isinstance(refused.value, NotMetadata)
    return str(refused.value)


def test_what_a_whole_document_says() -> None:
    """Every fact that a login, a refresh or a revocation needs."""
    found = read(
        authorization_endpoint="https://login.example/auth",
        revocation_endpoint="https://login.example/revoke",
        userinfo_endpoint="https://login.example/me",
        token_endpoint_auth_methods_supported=["client_secret_post", "none"],
        grant_types_supported=["authorization_code", "refresh_token"],
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
        jwks_uri="https://login.example/keys",
    )
    assert found == ProviderMetadata(
        issuer=ISSUER,
        authorization_endpoint="https://login.example/auth",
        token_endpoint="https://login.example/tenant/token",
        revocation_endpoint="https://login.example/revoke",
        userinfo_endpoint="https://login.example/me",
        auth_methods=("client_secret_post", "none"),
        grant_types=("authorization_code", "refresh_token"),
        code_challenge_methods=("S256",),
        iss_in_response=True,
    )


def test_what_is_not_said_is_not_assumed() -> None:
    """RFC 8414 §2: all of it but issuer and token endpoint may be missing."""
    found = read()
    assert (None, None, None, False) == (
        found.authorization_endpoint,
        found.revocation_endpoint,
        found.auth_methods,
        found.iss_in_response,
    )


@pytest.mark.parametrize(
    "claimed", [ISSUER + "/", "https://LOGIN.example/tenant", "http://login.example/tenant", "https://evil.example", ""]
)
def test_a_document_that_lies_about_its_issuer_is_refused(claimed: str) -> None:
    """RFC 8414 §3.3: identical, or somebody else's server would get our secret."""
    assert (
        f"it says that its issuer is {claimed!r}, not {ISSUER!r}: either the configured issuer is not "
        "written exactly as the provider writes it, or this document is another provider's"
    ) == refusal(issuer=claimed)


@pytest.mark.parametrize(
    "name", ["token_endpoint", "authorization_endpoint", "revocation_endpoint", "userinfo_endpoint"]
)
@pytest.mark.parametrize(
    "address",
    [
        "http://login.example/token",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "ftp://login.example/",
        "https://user:pw@login.example/",
        "https://login.example/#x",
        "https:///token",
        "https://login.example:port/",
        "https://login.example/a b",
        "https://login.example/\n",
        "/token",
        "",
    ],
)
def test_no_address_that_could_be_listened_to_is_taken(name: str, address: str) -> None:
    """https, or this machine; for every endpoint, since each gets a secret, a code or a token."""
    shown = repr(address.replace("\n", " "))
    assert f"its {name} is {shown}: only https is used, or http to this machine" == refusal(**{name: address})


@pytest.mark.parametrize(
    "address", ["https://login.example/token", "http://127.0.0.1:8000/t", "http://[::1]/t", "http://localhost/t"]
)
def test_https_and_this_machine_are_safe(address: str) -> None:
    """What the configuration allows, too."""
    assert is_safe_address(address)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"token_endpoint": None}, "it names no token_endpoint"),
        ({"token_endpoint": 5}, "its token_endpoint is not a text"),
        (
            {"token_endpoint_auth_methods_supported": "none"},
            "its token_endpoint_auth_methods_supported is not a list of texts",
        ),
        ({"grant_types_supported": [1]}, "its grant_types_supported is not a list of texts"),
        (
            {"authorization_response_iss_parameter_supported": "true"},
            "its authorization_response_iss_parameter_supported is neither true nor false",
        ),
    ],
)
def test_wrong_types_are_refused_by_name(fields: dict[str, object], said: str) -> None:
    """The text "false" must not switch a check off, nor on."""
    assert said == refusal(**fields)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "it is not JSON"),
        (b"", "it is not JSON"),
        (b"[" * 60_000, "it is not JSON"),
        (b"\xff{}", "it is not JSON"),
        (b"[]", "it is not a JSON object"),
        (b'"x"', "it is not a JSON object"),
        (b"{}", "it names no issuer"),
        (b'{"issuer": 5}', "it names no issuer"),
        (b"{}".ljust(MAX_DOCUMENT), "it names no issuer"),
        (b"{}".ljust(MAX_DOCUMENT + 1), "it is longer than 64 KiB"),
    ],
)
def test_what_is_no_metadata_may_stand_at_the_first_place(body: bytes, said: str) -> None:
    """A web server that answers everything with a page does not keep us from the second place; what stood there is said."""
    with pytest.raises(NotMetadata) as refused:
        read_metadata(body, issuer=ISSUER)
    assert said == str(refused.value)


def test_what_is_quoted_is_short_and_on_one_line() -> None:
    """The text goes to a terminal and a log."""
    said = refusal(issuer="https://evil.example/\x1b[2J\n" + "x" * 5000)
    assert said.isprintable()
    assert len(said) < 600
    assert "its issuer is 'https://evil.example/ [2J xxx" in said


@given(
    st.binary(max_size=200)
    | st.dictionaries(st.text(), st.text() | st.none()).map(lambda one: json.dumps(one).encode())
)
def test_no_document_raises_anything_else(document: bytes) -> None:
    """Any bytes: facts, or a refusal in words."""
    with suppress(MetadataRefused):
        read_metadata(document, issuer=ISSUER)


@pytest.mark.parametrize(
    ("issuer", "openid", "oauth"),
    [
        ("https://a.example", "https://a.example/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server"),
        ("https://a.example/", "https://a.example/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server"),
        ("https://a.example/t/1", "https://a.example/t/1/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server/t/1"),
        ("http://[::1]:80/t/", "http://[::1]:80/t/.well-known/openid-configuration", "http://[::1]:80/.well-known/oauth-authorization-server/t"),
    ],
)  # fmt: skip
def test_the_two_places(issuer: str, openid: str, oauth: str) -> None:
    """OpenID appends its name, RFC 8414 §3.1 puts it before the path."""
    assert (openid, oauth) == well_known(issuer)


@pytest.mark.parametrize(
    ("supported", "has_secret", "method"),
    [
        (None, True, AuthMethod.BASIC),
        (["client_secret_post", "client_secret_basic"], True, AuthMethod.BASIC),
        (["private_key_jwt", "client_secret_post"], True, AuthMethod.POST),
        (["client_secret_basic"], False, AuthMethod.NONE),
        (None, False, AuthMethod.NONE),
    ],
)
def test_how_a_client_proves_itself_there(supported: list[str] | None, *, has_secret: bool, method: AuthMethod) -> None:
    """Basic before form; without a secret there is only one way, which many servers do not list."""
    assert method == auth_method_of(read(token_endpoint_auth_methods_supported=supported), has_secret=has_secret)


def test_a_provider_that_takes_no_secret_is_refused_in_words() -> None:
    """A secret would be sent for nothing; the way out is said."""
    provider = read(token_endpoint_auth_methods_supported=["private_key_jwt", "none"])
    with pytest.raises(MetadataRefused) as refused:
        auth_method_of(provider, has_secret=True)
    said = "it takes no client secret, only 'private_key_jwt, none'; if it does take one, set client_auth"
    assert said == str(refused.value)
