"""One look at one credential: which commands, and what their replies mean. No I/O: the readers send, this reads."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any

from refreshd_client.keys import SCHEMA, STATUS_FIELDS, TOKEN_FIELDS, Keys
from refreshd_client.token import Token
from refreshd_client.unavailable import Reason, TokenUnavailable

Command = tuple[str, ...]
Look = Generator[Sequence[Command], Sequence[Any], "Entry"]
"""Yields commands to be sent together, is sent their replies, returns what they say."""

_NO_KEY = -2


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one look found. Instants are of `clock.seconds`; `read_at` lies before the first command.

    Either `token`, which dies at `dies_at`, or `missing`, which says why there is none.
    """

    read_at: float
    dies_at: float = inf
    token: Token | None = None
    missing: TokenUnavailable | None = None

    def lives(self, now: float, min_valid: float) -> bool:
        return self.token is not None and now + min_valid < self.dies_at


def look(keys: Keys, credential_id: str, read_at: float) -> Look:
    """The life is asked for first: if the token is replaced in between, it is taken for shorter than it is, never longer."""
    key = keys.token(credential_id)
    asked = (("PTTL", key), ("HMGET", key, *TOKEN_FIELDS))
    life, values = yield asked
    if life == _NO_KEY:  # perhaps it was written in between
        life, values = yield asked
    fields = _fields(TOKEN_FIELDS, values)
    if any(fields.values()) and fields["schema"] != SCHEMA:
        return Entry(read_at=read_at, missing=TokenUnavailable(credential_id, Reason.UNKNOWN_SCHEMA))
    if fields["access_token"] and life != _NO_KEY:
        dies_at = inf if life < 0 else read_at + life / 1000
        return Entry(read_at=read_at, dies_at=dies_at, token=_token(fields))
    (values,) = yield (("HMGET", keys.status(credential_id), *STATUS_FIELDS),)
    return Entry(read_at=read_at, missing=_why(credential_id, _fields(STATUS_FIELDS, values)))


def _token(fields: Mapping[str, str]) -> Token:
    return Token(
        access_token=fields["access_token"],
        token_type=fields["token_type"],
        scope=fields["scope"],
        generation=int(fields["generation"]),
        issued_at=_instant(fields["issued_at"]),
        expires_at=_instant(fields["expires_at"]),
    )


def _why(credential_id: str, fields: Mapping[str, str]) -> TokenUnavailable:
    """By the status hash; one without a status is what stays of a removal for a day."""
    if not any(fields.values()):
        return TokenUnavailable(credential_id, Reason.UNKNOWN_ID)
    if fields["schema"] != SCHEMA:
        return TokenUnavailable(credential_id, Reason.UNKNOWN_SCHEMA)
    match fields["status"]:
        case "":
            return TokenUnavailable(credential_id, Reason.REMOVED)
        case "paused" | "relogin_required" | "held" as status:
            reason = Reason(status)
        case _:
            reason = Reason.NO_LIVING_TOKEN
    return TokenUnavailable(credential_id, reason, fields["reason"] or None, _instant(fields["relogin_by"]))


def _fields(names: Sequence[str], values: Sequence[Any]) -> dict[str, str]:
    """By name, "" for what is not there; whether the client that was handed in decodes its replies or not."""
    return {name: _text(value) for name, value in zip(names, values, strict=True)}


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")  # an error would hold the token
    return "" if value is None else str(value)


def _instant(text: str) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if text.isdecimal() else None
