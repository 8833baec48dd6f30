"""What a person reads after a login: one line, what to do next, and nothing that must not be shown."""

from dataclasses import replace

import pytest

from refreshd.cli.login_words import Failure, failure, ignored, notes
from refreshd.domain.callback import Declined, MixedUp, NotOurs, Strange
from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.login import (
    CodeNotRedeemed,
    Fate,
    LoggedIn,
    NoAnswer,
    NoRefreshToken,
    NotReady,
    OtherAccount,
    Silence,
    Superseded,
    TokenOwned,
)
from refreshd.domain.outcome import Confirmation, Deferred, Misconfigured, Rejected, Uncertain

ID = CredentialId("acme/1")
COMMAND = "refreshd login acme/1 --client acme"
REDIRECT_URI = "http://127.0.0.1:8765/callback"
STANDARD = (  # RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6
    "invalid_request",
    "unauthorized_client",
    "access_denied",
    "unsupported_response_type",
    "invalid_scope",
    "server_error",
    "temporarily_unavailable",
    "interaction_required",
    "login_required",
    "account_selection_required",
    "consent_required",
)


def words(result: Failure) -> str:
    return failure(result, command=COMMAND, redirect_uri=REDIRECT_URI, patience="5m")


OTHER = OtherAccount(id=ID, stored="alice", found="bob", fate=Fate.QUEUED)


@pytest.mark.parametrize(
    ("result", "next_step"),
    [
        *((replace(OTHER, fate=fate), "refreshd remove acme/1 first") for fate in Fate),
        (NoRefreshToken(required="offline", granted="read"), "Allow the scope offline"),
        (NoRefreshToken(required="", granted=None), "Allow offline access"),
        (CodeNotRedeemed(outcome=Rejected(code="invalid_grant", confirmation=Confirmation.FAST)), COMMAND),
        (
            CodeNotRedeemed(outcome=Misconfigured(code="invalid_client", detail="no such client")),
            "Check token_endpoint",
        ),
        (CodeNotRedeemed(outcome=Deferred(code="http_503")), COMMAND),
        (CodeNotRedeemed(outcome=Uncertain(code="deadline")), COMMAND),
        (TokenOwned(owner=CredentialId("b")), "Use b"),
        (Superseded(id=ID), "refreshd show acme/1"),
        (Declined(error="unheard_of", description="why"), "ask the provider"),
        (MixedUp(expected="a", found="b"), "correct issuer"),
        (MixedUp(expected="a", found=None), "without saying by whom"),
        (NoAnswer(cause=Silence.TIMED_OUT), f"register exactly {REDIRECT_URI}"),
        (NoAnswer(cause=Silence.TOO_MANY_TRIES), "Begin again"),
        (NotReady(fault="disk full"), COMMAND),
    ],
)
def test_every_failure_says_what_to_do_next(result: Failure, next_step: str) -> None:
    """On one line."""
    said = words(result)
    assert next_step in said
    assert "\n" not in said


def test_another_account_is_named_beside_the_stored_one() -> None:
    """Both ids, and what becomes of the new tokens."""
    assert all(name in words(OTHER) for name in ("'alice'", "'bob'", "the stored login is untouched"))
    assert 3 == len({words(replace(OTHER, fate=fate)) for fate in Fate})


@pytest.mark.parametrize("error", STANDARD)
def test_the_standards_errors_have_advice_of_their_own(error: str) -> None:
    """Nobody has to look them up."""
    assert "no error of RFC 6749" not in words(Declined(error=error))


@pytest.mark.parametrize("cause", Silence)
def test_every_silence_has_its_words(cause: Silence) -> None:
    """Nothing was stored, in each."""
    assert "nothing was stored" in words(NoAnswer(cause=cause))


@pytest.mark.parametrize("cause", Strange)
def test_whatever_is_refused_on_the_way_has_its_words(cause: Strange) -> None:
    """At the port, and at the terminal where it can be mended at once."""
    assert ignored(NotOurs(cause=cause), pasted=False).endswith("The login goes on waiting")
    assert ignored(NotOurs(cause=cause), pasted=True).endswith("Paste again:")


def test_a_login_that_is_simply_stored_needs_no_words() -> None:
    """Each note is a surprise."""
    plain = LoggedIn(id=ID, client=ClientName("acme"), replaced=True, account="alice")
    assert [] == notes(plain)
    odd = replace(plain, resumed=True, elsewhere=True, unknown="why", missing=("offline",), paused=True)
    assert 5 == len(notes(odd))
