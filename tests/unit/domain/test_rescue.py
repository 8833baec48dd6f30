"""A token that was put aside, as if it were the answer (protocol R5)."""

from datetime import UTC, datetime, timedelta

import pytest

from refreshd.domain.credential import AccessToken
from refreshd.domain.rescue import RescuedToken, as_answer
from refreshd.domain.secret import Secret

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def rescued(access: AccessToken | None) -> RescuedToken:
    return RescuedToken(
        id=1, refresh_token=Secret("refresh"), access=access, scope="offline", rescued_at=NOW - timedelta(minutes=1)
    )


def test_a_living_access_token_keeps_its_dates() -> None:
    """Its expiry counts from when it was asked for, not from when it was found."""
    sent = NOW - timedelta(minutes=20)
    token = AccessToken(value=Secret("access"), token_type="bearer", issued_at=sent, expires_at=sent + HOUR)
    answer, sent_at = as_answer(rescued(token), now=NOW)
    assert answer.access is not None
    assert (sent, HOUR, Secret("access")) == (sent_at, answer.access.expires_in, answer.access.value)
    assert (Secret("refresh"), "offline") == (answer.refresh_token, answer.scope)
    assert "bearer" == answer.access.token_type


def test_the_history_says_where_it_came_from() -> None:
    """An operator who reads the row sees that a token was taken up again, not that the provider was asked."""
    answer, _ = as_answer(rescued(None), now=NOW)
    assert "rescued_token" == answer.code


@pytest.mark.parametrize("age", [HOUR, 2 * HOUR])
def test_an_expired_access_token_is_left_out(age: timedelta) -> None:
    """The refresh token is what counts; a dead access token is never published."""
    token = AccessToken(value=Secret("access"), token_type="bearer", issued_at=NOW - age, expires_at=NOW - age + HOUR)
    for one in (token, None):
        answer, sent_at = as_answer(rescued(one), now=NOW)
        assert (None, NOW - timedelta(minutes=1)) == (answer.access, sent_at)
