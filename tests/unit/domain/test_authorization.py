"""What the browser is sent to the provider with."""

import base64
import hashlib
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from refreshd.domain.authorization import (
    RESERVED,
    AuthorizationRequest,
    LoginProfile,
    authorization_request,
    requested_scope,
)

PROFILE = LoginProfile(authorization_endpoint="https://login.example/auth", client_id="id & more", scope="offline read")
REDIRECT_URI = "http://127.0.0.1:8765/callback"


def request(
    profile: LoginProfile = PROFILE, *, state: bytes = b"s" * 32, verifier: bytes = b"v" * 48
) -> AuthorizationRequest:
    return authorization_request(profile, redirect_uri=REDIRECT_URI, state=state, verifier=verifier)


def test_it_says_all_that_the_standards_want() -> None:
    """RFC 6749 §4.1.1 and RFC 7636 §4.3, for every kind of client."""
    made = request()
    query = parse_qs(urlsplit(made.url).query, strict_parsing=True)
    digest = hashlib.sha256(made.verifier.reveal().encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert query == {
        "response_type": ["code"],
        "client_id": ["id & more"],
        "redirect_uri": [REDIRECT_URI],
        "scope": ["offline read"],
        "state": [made.state],
        "code_challenge": [challenge],
        "code_challenge_method": ["S256"],
    }


def test_the_challenge_is_the_one_of_rfc_7636() -> None:
    """Appendix B, octet by octet."""
    octets = base64.urlsafe_b64decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk=")
    made = request(verifier=octets)
    assert "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" == made.verifier.reveal()
    assert "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" == parse_qs(made.url)["code_challenge"][0]


@given(state=st.binary(min_size=32, max_size=32), verifier=st.binary(min_size=32, max_size=96))
@example(state=b"s" * 32, verifier=b"W" * 48)  # ends in a letter, as a length that needs no padding may
def test_state_and_verifier_carry_every_random_bit(state: bytes, verifier: bytes) -> None:
    """256 bits that nobody guesses; the verifier has 43 to 128 characters, and does not stand in the URL."""
    assume(verifier[:32] != state)
    made = request(state=state, verifier=verifier)
    assert state == base64.urlsafe_b64decode(made.state + "=")
    assert verifier == base64.urlsafe_b64decode(made.verifier.reveal() + "==")
    assert 43 <= len(made.verifier.reveal()) <= 128
    assert made.verifier.reveal() not in made.url
    assert made.verifier.reveal() not in repr(made)
    assert made.state not in repr(made).replace(made.url, "")


@pytest.mark.parametrize(("state", "verifier"), [(31, 48), (32, 31), (32, 97)])
def test_too_little_chance_is_a_bug(state: int, verifier: int) -> None:
    """Nobody logs in with a state that can be guessed."""
    with pytest.raises(ValueError, match="random bytes"):
        request(state=b"s" * state, verifier=b"v" * verifier)


def test_what_the_endpoint_and_the_provider_want_besides_is_kept() -> None:
    """RFC 6749 §3.1: a query in the endpoint's address stays. No scope, no parameter."""
    profile = LoginProfile(
        authorization_endpoint="https://login.example/auth?tenant=a%20b",
        client_id="id",
        parameters=(("prompt", "consent"),),
    )
    query = parse_qsl(urlsplit(request(profile).url).query, keep_blank_values=True)
    assert (("tenant", "a b"), ("prompt", "consent")) == (query[0], query[-1])
    assert "scope" not in dict(query)


def test_what_the_answer_is_judged_by_is_kept() -> None:
    """The exchange repeats the address, the callback is held against the issuer."""
    made = request(replace(PROFILE, issuer="https://login.example", iss_required=True))
    assert (REDIRECT_URI, "https://login.example", True) == (made.redirect_uri, made.issuer, made.iss_required)
    assert not request().iss_required


@pytest.mark.parametrize("end", ["", "?"])
def test_an_endpoint_that_ends_with_a_question_mark_has_one_query(end: str) -> None:
    """Written by hand, it may."""
    made = request(replace(PROFILE, authorization_endpoint=f"https://login.example/auth{end}"))
    assert made.url.startswith("https://login.example/auth?response_type=code&")


def test_every_parameter_that_is_set_here_is_reserved() -> None:
    """The configuration cannot say one of them a second time (RFC 6749 §3.1)."""
    assert set() == {name for name, _ in parse_qsl(urlsplit(request().url).query)} - RESERVED


@pytest.mark.parametrize(
    ("configured", "required", "asked"),
    [
        ("", "offline", "offline"),
        ("read", "offline", "read offline"),
        ("offline read", "offline", "offline read"),
        ("openid,offline", "offline", "openid,offline"),
        ("read", "", "read"),
        ("", "", ""),
    ],
)
def test_what_brings_the_refresh_token_is_always_asked_for(configured: str, required: str, asked: str) -> None:
    """Who forgets `offline` would log in for one hour."""
    assert asked == requested_scope(configured, required)
