"""What is handed to `import` is refused in words, never with a traceback."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.domain.grant import GrantRefused, read_grant, read_instant

AT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    ["2026-05-01T12:00:00Z", "2026-05-01T14:00:00+02:00", "1777636800", 1777636800, 1777636800.0],
)
def test_an_instant_is_iso_8601_with_its_zone_or_unix_seconds(written: object) -> None:
    """What people and programs write for a point in time."""
    assert read_instant(written, "issued_at") == AT


@pytest.mark.parametrize(
    "written",
    [
        "2026-05-01T12:00:00",
        "0001-01-01T00:00:00+23:00",
        "9999-12-31T23:59:59-23:00",
        "9" * 5000,
        10**400,
        -(10**18),
        float("nan"),
        float("inf"),
        True,
        None,
        [],
        "²",
        "",
        "tomorrow",
    ],
)
def test_any_other_instant_is_refused_by_name(written: object) -> None:
    """A naive, impossible or absurd date is one line that says which field is wrong, not a crash."""
    with pytest.raises(GrantRefused, match=r"^issued_at must be"):
        read_instant(written, "issued_at")


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just("a"))
names = st.sampled_from(
    [
        "id",
        "client",
        "refresh_token",
        "access_token",
        "token_type",
        "scope",
        "issued_at",
        "expires_at",
        "expires_in",
        "login_at",
        "error",
    ]
)
instants = st.none() | st.sampled_from([AT, datetime.max.replace(tzinfo=UTC)])


@given(fields=st.dictionaries(names, scalars), issued_at=instants)
def test_no_entry_makes_it_raise_anything_else(fields: dict[str, object], issued_at: datetime | None) -> None:
    """Every entry is either a grant with a refresh token or refused in words."""
    entry = {"id": "acme/1", "client": "frameio", "refresh_token": "RT", "expires_in": 3600, **fields}
    with suppress(GrantRefused):
        grant = read_grant(json.loads(json.dumps(entry)), credential_id=None, client=None, issued_at=issued_at)
        assert grant.refresh_token.reveal() != ""
