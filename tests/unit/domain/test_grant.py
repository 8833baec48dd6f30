"""What is handed to `import` is refused in words, never with a traceback."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.grant import Grant, GrantRefused, read_grant, read_instant
from refreshd.domain.outcome import Refreshed
from refreshd.domain.secret import Secret
from refreshd.domain.token_response import Answer, read_answer

AT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NO_LIFETIME: list[object] = [
    0,
    -1,
    True,
    2678401,
    "2678401",
    "0",
    "9" * 5000,
    "soon",
    "",
    [],
    float("nan"),
    float("inf"),
]
TEXTS = ("id", "client", "refresh_token", "access_token", "token_type", "scope")
ENTRY = {"id": "acme/1", "client": "frameio", "refresh_token": "rt-4f9c1e"}


def read(fields: Mapping[str, object], *, clock: datetime | None = AT) -> Grant:
    """The least that can be imported, and these fields; `clock` stands in for the date of issue."""
    return read_grant({**ENTRY, **fields}, credential_id=None, client=None, issued_at=clock)


@pytest.mark.parametrize(
    "written",
    ["2026-05-01T12:00:00Z", "2026-05-01T14:00:00+02:00", "1777636800", 1777636800, 1777636800.0],
)
def test_an_instant_is_iso_8601_with_its_zone_or_unix_seconds(written: object) -> None:
    """What people and programs write for a point in time; inside there is only UTC."""
    at = read_instant(written, "issued_at")
    assert at == AT
    assert at.tzinfo is UTC


@pytest.mark.parametrize("written", [0, "0", "1970-01-01T00:00:00Z"])
def test_the_beginning_of_time_is_an_instant(written: object) -> None:
    """What programs write for long ago: such a token is over, and no reason to refuse its login."""
    assert datetime(1970, 1, 1, tzinfo=UTC) == read_instant(written, "expires_at")


@pytest.mark.parametrize(
    "written",
    [
        "2026-05-01T12:00:00",
        "0001-01-01T00:00:00+23:00",
        "9999-12-31T23:59:59-23:00",
        "3000-01-01T00:00:00Z",
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


def test_everything_an_entry_says_is_taken() -> None:
    """What the login callback returned is what is stored, each field under its own name."""
    entry = {
        **ENTRY,
        "access_token": "at-77",
        "token_type": "bearer",
        "scope": "offline account",
        "issued_at": "2026-05-01T12:00:00Z",
        "expires_at": "2026-05-01T14:00:00Z",
        "login_at": "2026-05-01T11:00:00Z",
    }
    later = AT + 9 * HOUR
    expected = Grant(
        id=CredentialId("acme/1"),
        client=ClientName("frameio"),
        refresh_token=Secret("rt-4f9c1e"),
        access_token=Secret("at-77"),
        token_type="bearer",
        scope="offline account",
        issued_at=AT,
        expires_at=AT + 2 * HOUR,
        login_at=AT - HOUR,
    )
    assert read_grant(entry, credential_id="other", client="other", issued_at=later, login_at=later) == expected


def test_what_an_entry_does_not_say_is_stood_in_for() -> None:
    """One file of bare token responses can be imported for one client; what nobody says stays unknown."""
    grant = read_grant(
        {"refresh_token": "rt-4f9c1e"}, credential_id="acme/2", client="adobe", issued_at=AT, login_at=AT - HOUR
    )
    expected = Grant(
        id=CredentialId("acme/2"),
        client=ClientName("adobe"),
        refresh_token=Secret("rt-4f9c1e"),
        access_token=None,
        token_type="Bearer",
        scope=None,
        issued_at=AT,
        expires_at=None,
        login_at=AT - HOUR,
    )
    assert grant == expected


@pytest.mark.parametrize("other", ["mac", "DPoP", "N_A", " bearer", ""])
def test_of_another_token_type_only_the_refresh_token_is_taken(other: str) -> None:
    """Protocol: store the refresh token, publish nothing, whichever way it came."""
    grant = read({"access_token": "at-77", "token_type": other, "expires_in": 60})
    assert (Secret("rt-4f9c1e"), None, "Bearer") == (grant.refresh_token, grant.access_token, grant.token_type)


@pytest.mark.parametrize("bearer", ["bearer", "BEARER", None])
def test_a_bearer_token_is_taken_however_it_is_written(bearer: str | None) -> None:
    """RFC 6749 §5.1: the type's case does not count."""
    grant = read({"access_token": "at-77", "token_type": bearer})
    assert (Secret("at-77"), bearer or "Bearer") == (grant.access_token, grant.token_type)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_access_token_is_none(empty: str | None) -> None:
    """Nothing is never published."""
    assert read({"access_token": empty}).access_token is None


@pytest.mark.parametrize(
    ("lifetime", "seconds"), [(3600, 3600), ("3600", 3600), (0.5, 0.5), (1, 1), (2678400, 2678400), (None, None)]
)
def test_a_lifetime_counts_from_the_issue(lifetime: object, seconds: float | None) -> None:
    """`expires_in` (RFC 6749 §5.1) dates the access token from when it was issued, up to 31 days."""
    expected = None if seconds is None else AT + timedelta(seconds=seconds)
    assert read({"expires_in": lifetime}).expires_at == expected


def test_a_lifetime_from_an_unknown_instant_dates_nothing() -> None:
    """An undated token is not published; it is asked for anew."""
    assert read({"expires_in": 3600}, clock=None).expires_at is None


@pytest.mark.parametrize("token", ["é😀", "\ud7ff\ue000", "a b"])
def test_any_text_that_can_be_stored_is_a_token(token: str) -> None:
    """Odd is not broken: the login behind it may be alive."""
    assert read({"refresh_token": token}).refresh_token == Secret(token)


@pytest.mark.parametrize(("name", "longest"), [("refresh_token", 65536), ("access_token", 16384)])
def test_a_token_may_be_as_long_as_is_said(name: str, longest: int) -> None:
    """Who cuts a token down to the length in the message is believed."""
    grant = read({name: "x" * longest})
    assert Secret("x" * longest) in (grant.refresh_token, grant.access_token)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"error": "invalid_grant"}, "this is an error response, not a token response; "),
        ({"id": None}, "no id: give --id, "),
        ({"id": ""}, "no id: give --id, "),
        ({"id": "-a"}, "the id '-a' is not allowed: 1 to 128 "),
        ({"id": "x" * 129}, "the id 'xxx"),
        ({"id": 7}, "id must be a text, not int"),
        ({"client": None}, "no client: give --client, "),
        ({"client": []}, "client must be a text, not list"),
        ({"refresh_token": None}, "no refresh_token: the 'offline' scope was not granted, "),
        ({"refresh_token": ""}, "no refresh_token: the 'offline' scope was not granted, "),
        ({"refresh_token": "\ud800"}, "refresh_token holds a broken character"),
        ({"access_token": "a\udfff"}, "access_token holds a broken character"),
        *(
            ({name: f"a{control}b"}, f"{name} holds a control character")
            for name in TEXTS
            for control in "\0\n\r\t\x7f"
        ),
        *(({name: "x" * 16385}, f"{name} is longer than 16384 characters") for name in ("access_token", "scope")),
        ({"refresh_token": "x" * 65537}, "refresh_token is longer than 65536 characters"),
        ({"access_token": "Bearer at-77"}, "access_token holds a space"),
        ({"expires_at": -1}, "expires_at must be Unix seconds "),
        ({"expires_at": "0001-01-02T00:00:00Z"}, "expires_at must be Unix seconds "),
        ({"token_type": 1}, "token_type must be a text, not int"),
        ({"scope": ["offline"]}, "scope must be a text, not list"),
        ({"issued_at": "today"}, "issued_at must be Unix seconds "),
        ({"login_at": "2026-05-01"}, "login_at must be Unix seconds "),
        ({"expires_at": True}, "expires_at must be Unix seconds "),
        *(({"expires_in": odd}, "expires_in must be a number of seconds ") for odd in NO_LIFETIME),
    ],
)
def test_a_fault_is_named_in_words(fields: dict[str, object], words: str) -> None:
    """Whoever imports a thousand logins reads which field of an entry is wrong, and never a token."""
    with pytest.raises(GrantRefused) as caught:
        read(fields)
    assert str(caught.value).startswith(words)
    assert "rt-4f9c1e" not in str(caught.value)


def test_the_missing_scope_is_called_by_the_providers_name() -> None:
    """`offline_access` at one provider, `offline` at another: the person who logs in again must ask for the right one."""
    entry = {**ENTRY, "refresh_token": None}
    with pytest.raises(GrantRefused, match=r"^no refresh_token: the 'offline_access' scope .* 'offline_access'$"):
        read_grant(entry, credential_id=None, client=None, offline_scope="offline_access")


def test_an_issue_at_the_end_of_the_calendar_is_refused() -> None:
    """A clock that stands in for an entry's date may be absurd; that too is one line."""
    with pytest.raises(GrantRefused, match=r"^issued_at lies at the end of the calendar"):
        read({"expires_in": 3600}, clock=datetime.max.replace(tzinfo=UTC))


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


def read_access(grant: Grant) -> Secret | None:
    """What a refresh would make of an import's access token."""
    assert grant.access_token is not None
    answer = {"access_token": grant.access_token.reveal(), "token_type": grant.token_type, "refresh_token": "r"}
    outcome = read_answer(Answer(status=200, headers={}, body=json.dumps(answer).encode()), now=AT)
    assert isinstance(outcome, Refreshed)
    return outcome.access.value if outcome.access else None


@given(fields=st.dictionaries(names, scalars), issued_at=instants)
def test_no_entry_makes_it_raise_anything_else(fields: dict[str, object], issued_at: datetime | None) -> None:
    """Every entry is either a grant with a refresh token or refused in words."""
    entry = {"id": "acme/1", "client": "frameio", "refresh_token": "RT", "expires_in": 3600, **fields}
    with suppress(GrantRefused):
        grant = read_grant(json.loads(json.dumps(entry)), credential_id=None, client=None, issued_at=issued_at)
        assert grant.refresh_token is not None
        assert grant.refresh_token.reveal() != ""
        if grant.access_token is not None:
            assert read_access(grant) == grant.access_token


def test_leading_zeros_of_a_lifetime_do_not_count() -> None:
    """A lifetime that lost its last digits would be refreshed every few minutes."""
    found = read_grant(
        {"id": "a", "client": "c", "refresh_token": "r", "access_token": "t", "expires_in": "0000000003600"},
        credential_id=None,
        client=None,
        issued_at=datetime(2026, 6, 1, tzinfo=UTC),
    )
    assert datetime(2026, 6, 1, 1, tzinfo=UTC) == found.expires_at
