"""What a login callback returned (RFC 6749 §5.1), as it is handed to `import`: read strictly, faults in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from refreshd.domain.credential import CREDENTIAL_ID, ClientName, CredentialId
from refreshd.domain.secret import Secret
from refreshd.domain.token_text import LONGEST, has_control, has_surrogate, is_bearer

_LONGEST_REFRESH_TOKEN = 64 * 1024
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIME = datetime(3000, 1, 1, tzinfo=UTC)  # a lifetime must fit behind every instant, or no answer can be settled


class GrantRefused(ValueError):  # noqa: N818 - reads as what it says
    """This entry cannot be imported; the text says why and what to do, and holds no token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One login to be stored. `expires_at` None: undated, so its access token is not published and it is due at once.

    `refresh_token` None: no login, the client asks for itself (`machine_grant`). `account`: whose it is, where the provider was
    asked.
    """

    id: CredentialId
    client: ClientName
    refresh_token: Secret | None
    access_token: Secret | None = None
    token_type: str = "Bearer"  # noqa: S105 - RFC 6750's name, not a password
    scope: str | None = None
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    login_at: datetime | None = None
    account: str | None = None


def read_grant(
    fields: Mapping[str, object],
    *,
    credential_id: str | None,
    client: str | None,
    issued_at: datetime | None = None,
    login_at: datetime | None = None,
    offline_scope: str = "offline",
) -> Grant:
    """Read one entry; arguments stand in for what the entry does not say. Raises `GrantRefused`.

    What a refresh would not publish, an import does not either: of another token type only the refresh token is taken.
    """
    name, registration = read_names(fields, credential_id=credential_id, client=client)
    refresh_token = _text(fields, "refresh_token", longest=_LONGEST_REFRESH_TOKEN)
    if not refresh_token:
        raise GrantRefused(
            f"no refresh_token: the {offline_scope!r} scope was not granted, so this login ends with its access token; "
            f"log in again asking for the scope {offline_scope!r}"
        )
    access_token = _text(fields, "access_token")
    if access_token and " " in access_token:
        raise GrantRefused("access_token holds a space: give the token alone, without its type")
    token_type = _text(fields, "token_type")
    bearer = token_type is None or is_bearer(token_type)
    issued = _instant(fields, "issued_at") or issued_at
    return Grant(
        id=name,
        client=registration,
        refresh_token=Secret(refresh_token),
        access_token=Secret(access_token) if access_token and bearer else None,
        token_type=token_type if token_type and bearer else "Bearer",
        scope=_text(fields, "scope"),
        issued_at=issued,
        expires_at=_expiry(fields, issued),
        login_at=_instant(fields, "login_at") or login_at,
    )


def read_names(
    fields: Mapping[str, object], *, credential_id: str | None, client: str | None
) -> tuple[CredentialId, ClientName]:
    """Whose entry this is; arguments stand in for what it does not say. Raises `GrantRefused`."""
    if isinstance(fields.get("error"), str):
        raise GrantRefused("this is an error response, not a token response; log in again and import what that returns")
    name = _text(fields, "id") or credential_id
    registration = _text(fields, "client") or client
    if not name:
        raise GrantRefused("no id: give --id, or an id in each entry")
    if not CREDENTIAL_ID.fullmatch(name):
        raise GrantRefused(
            f"the id {name[:140]!r} is not allowed: 1 to 128 characters, A-Z a-z 0-9 . _ @ : / -, the first a letter or digit"
        )
    if not registration:
        raise GrantRefused("no client: give --client, or a client in each entry")
    return CredentialId(name), ClientName(registration)


def read_instant(value: object, name: str) -> datetime:
    """An ISO 8601 instant with its zone, or Unix seconds. Raises `GrantRefused`."""
    try:
        at = _as_instant(value)
    except (ValueError, OverflowError, OSError):  # no date, or one that no calendar holds
        at = None
    if at is not None and _BEGINNING <= at < _END_OF_TIME:
        return at
    raise GrantRefused(f"{name} must be Unix seconds or an ISO 8601 instant with its zone, like 2026-05-01T12:00:00Z")


def _as_instant(value: object) -> datetime | None:
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return datetime.fromtimestamp(float(value), UTC)


def _expiry(fields: Mapping[str, object], issued_at: datetime | None) -> datetime | None:
    if fields.get("expires_at") is not None:
        return read_instant(fields["expires_at"], "expires_at")
    lifetime = fields.get("expires_in")
    if isinstance(lifetime, str) and lifetime.isascii() and lifetime.isdigit():
        lifetime = int(lifetime.lstrip("0")[:12] or "0")
    if lifetime is None or issued_at is None:
        return None
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or not 0 < lifetime <= 31 * 86400:
        raise GrantRefused("expires_in must be a number of seconds between 1 and 2678400 (31 days)")
    try:
        return issued_at + timedelta(seconds=lifetime)
    except OverflowError:
        raise GrantRefused("issued_at lies at the end of the calendar") from None


def _instant(fields: Mapping[str, object], name: str) -> datetime | None:
    return None if fields.get(name) is None else read_instant(fields[name], name)


def _text(fields: Mapping[str, object], name: str, *, longest: int = LONGEST) -> str | None:
    """What passes here, every store takes: a refused value must not end a write halfway."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise GrantRefused(f"{name} must be a text, not {type(value).__name__}")
    if has_surrogate(value):
        raise GrantRefused(f"{name} holds a broken character (a lone surrogate)")
    if has_control(value):
        raise GrantRefused(f"{name} holds a control character (a line end, a tab, NUL); take it out")
    if len(value) > longest:
        raise GrantRefused(f"{name} is longer than {longest} characters")
    return value
