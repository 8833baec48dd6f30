"""What the answer of a login is worth."""

from dataclasses import replace
from datetime import timedelta

import pytest

from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.grant import Grant
from refreshd.domain.login import granted, missing_scope
from refreshd.domain.outcome import Refreshed
from refreshd.domain.secret import Secret
from tests.fakes import START, success


def grant_of(answer: Refreshed, *, asked: str = "offline read") -> Grant | None:
    return granted(
        answer,
        id=CredentialId("acme/1"),
        client=ClientName("acme"),
        asked=asked,
        lifetime=timedelta(hours=2),
        sent_at=START,
    )


def test_expiry_counts_from_before_the_code_was_sent() -> None:
    """R13: what the exchange took is not life."""
    found = grant_of(success(lifetime=60))
    assert found is not None
    assert ("acme/1", "acme") == (found.id, found.client)
    assert (START, START, START + timedelta(seconds=60)) == (found.login_at, found.issued_at, found.expires_at)
    assert (Secret("refresh"), Secret("access"), "bearer") == (
        found.refresh_token,
        found.access_token,
        found.token_type,
    )


def test_without_a_word_the_providers_usual_lifetime_counts() -> None:
    """As at a refresh."""
    answer = success()
    assert answer.access
    found = grant_of(replace(answer, access=replace(answer.access, expires_in=None)))
    assert found is not None
    assert START + timedelta(hours=2) == found.expires_at


def test_a_refresh_token_alone_is_kept() -> None:
    """R4: persist first, judge later. Undated, so the daemon asks for an access token at once."""
    found = grant_of(replace(success(), access=None))
    assert found is not None
    assert "Bearer" == found.token_type
    assert (Secret("refresh"), None, None) == (found.refresh_token, found.access_token, found.expires_at)


def test_an_access_token_alone_is_no_login() -> None:
    """It would end with its access token."""
    assert grant_of(success(refresh=None)) is None


@pytest.mark.parametrize(
    ("said", "asked", "kept"), [("read", "offline", "read"), (None, "offline", "offline"), (None, "", None)]
)
def test_the_scope_is_what_the_provider_says_else_what_was_asked(
    said: str | None, asked: str, kept: str | None
) -> None:
    """RFC 6749 §5.1: it may be left out when it is the one that was asked for."""
    found = grant_of(replace(success(), scope=said), asked=asked)
    assert found is not None
    assert kept == found.scope


def test_missing_scope() -> None:
    """Only of what the provider named; silence means all."""
    assert ("offline",) == missing_scope("read", "offline")
    assert () == missing_scope("read offline", "offline")
    assert () == missing_scope(None, "offline")
    assert () == missing_scope("openid,offline", "offline")
