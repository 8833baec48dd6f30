"""Bytes of a token endpoint's answer → meaning (RFC 6749 §5.1, §5.2, and what providers really send).

The JSON `error` counts first, the status second. A refresh token in a 2xx answer is never overlooked, however broken the rest.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus

from refreshd.domain.outcome import (
    Confirmation,
    Deferred,
    GrantedAccess,
    Misconfigured,
    Outcome,
    Refreshed,
    Rejected,
    Uncertain,
)
from refreshd.domain.secret import Secret

MAX_BODY = 64 * 1024
MAX_EXPIRES_IN = timedelta(days=31)
MIN_EXPIRES_IN = timedelta(seconds=60)
MAX_RETRY_AFTER = timedelta(hours=1)
MAX_TOKEN = 16 * 1024

REJECTIONS = frozenset(
    {
        "invalid_grant",
        "token_inactive",
        "request_unauthorized",
        "access_denied",
        "login_required",
        "consent_required",
    }
)
SLOW_REJECTIONS = frozenset({"invalid_request", "invalid_scope", "scope_not_granted"})
MISCONFIGURATIONS = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type"})
DEFERRALS = frozenset({"temporarily_unavailable", "slow_down"})

_NOT_PROCESSED = frozenset({408, 421, 425, 429})
_WRONG_ADDRESS = frozenset({404, 405, 407, 410, 413, 414, 415, 431, 501, 505, 511})
_REFUSALS = frozenset({400, 401, 403})
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_SHARED_USE = re.compile(r"concurren|simultaneous|\bretry", re.IGNORECASE)
_SALVAGE = re.compile(r'"refresh_token"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")', re.DOTALL)
# a lone surrogate cannot be encoded, and PostgreSQL takes no NUL
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST_INTEGER = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came over the wire. `complete` is False when the body was cut short or too long, as far as the wire tells."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True


def read_answer(answer: Answer, *, now: datetime, rejection_codes: frozenset[str] = frozenset()) -> Outcome:
    """Classify one answer (protocol: classes of answers).

    `headers` has lower-case names. `rejection_codes` are the provider's own names for a dead refresh token. `now` dates a
    Retry-After. Never raises.
    """
    anomalies: list[str] = []
    succeeded = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
    fields = _parse(answer.body, anomalies)  # a JSON object that was cut short never parses
    if fields is None:
        return _salvage(answer, anomalies) if succeeded else _read_status(answer, now=now)
    error = fields.get("error")
    if isinstance(error, str) and error:
        if not (succeeded and _is_text(fields.get("refresh_token"))):
            text = f"{error}: {_describe(fields)}"
            return _read_error(error, text, answer, now=now, rejection_codes=rejection_codes)
        anomalies.append("error_in_success")
    return _read_tokens(fields, answer, anomalies) if succeeded else _read_status(answer, now=now)


def _parse(body: bytes, anomalies: list[str]) -> dict[str, object] | None:
    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(items)
        if len(found) < len(items):
            anomalies.append("duplicate_keys")
            tokens = [value for key, value in items if key == "refresh_token" and _is_text(value)]
            if tokens:  # the last one counts, but never an empty one after it
                found["refresh_token"] = tokens[-1]
        return found

    def integer(digits: str) -> int | float:
        return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)

    load = partial(json.loads, strict=False, object_pairs_hook=pairs, parse_int=integer)
    try:
        try:
            value = load(body)
        except UnicodeDecodeError:
            anomalies.append("invalid_utf8")
            value = load(_text(body))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read_tokens(fields: dict[str, object], answer: Answer, anomalies: list[str]) -> Outcome:
    refresh_token = _refresh_token(fields.get("refresh_token"), anomalies)
    access = _access(fields, anomalies)
    if refresh_token is None and access is None:
        salvaged = _salvage(answer, anomalies)
        return salvaged if isinstance(salvaged, Refreshed) else Uncertain(code="no_usable_token")
    return Refreshed(
        access=access,
        refresh_token=refresh_token,
        scope=_scope(fields.get("scope"), anomalies),
        anomalies=tuple(dict.fromkeys(anomalies)),
        code="ok" if access else "no_usable_access_token",
    )


def _salvage(answer: Answer, anomalies: list[str]) -> Refreshed | Uncertain:
    """A 2xx that cannot be read: the provider believes it succeeded, so look for the refresh token by eye."""
    code = "unreadable_success" if answer.complete else "truncated_success"
    if len(answer.body) > MAX_BODY:
        code = "oversized_success"
    for literal in reversed(_SALVAGE.findall(_text(answer.body))):
        try:
            value = json.loads(literal, strict=False)
        except ValueError:
            continue
        if _is_text(value):
            token = _refresh_token(value, anomalies)
            kinds = tuple(dict.fromkeys((*anomalies, code)))
            return Refreshed(access=None, refresh_token=token, anomalies=kinds, code=code)
    return Uncertain(code=code)


def _refresh_token(value: object, anomalies: list[str]) -> Secret | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        anomalies.append("refresh_token_unusable")
        return None
    if " " in value or not _is_plain(value):
        anomalies.append("refresh_token_odd")
    return Secret(value)


def _access(fields: dict[str, object], anomalies: list[str]) -> GrantedAccess | None:
    value, token_type = fields.get("access_token"), fields.get("token_type")
    if not isinstance(value, str) or not value:
        anomalies.append("access_token_missing")
        return None
    if " " in value or not _is_plain(value):
        anomalies.append("access_token_unprintable")
        return None
    if token_type is None:
        anomalies.append("token_type_missing")
        token_type = "Bearer"  # noqa: S105 - RFC 6750's name, not a password
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        anomalies.append("token_type_unsupported")
        return None
    return GrantedAccess(
        value=Secret(value),
        token_type=token_type,
        expires_in=_expires_in(fields.get("expires_in"), anomalies),
    )


def _expires_in(value: object, anomalies: list[str]) -> timedelta | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+", value):
        value = float(value)
    if value is None:
        anomalies.append("expires_in_missing")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        anomalies.append("expires_in_unusable")
        return None
    if value <= 0:
        anomalies.append("expires_in_clamped")
        return MIN_EXPIRES_IN
    if value > MAX_EXPIRES_IN.total_seconds():
        anomalies.append("expires_in_clamped")
        return MAX_EXPIRES_IN
    return timedelta(seconds=int(value) or 1)


def _scope(value: object, anomalies: list[str]) -> str | None:
    if isinstance(value, str) and value.strip() and _is_plain(value):
        return value
    if value:
        anomalies.append("scope_unusable")
    return None


def _read_error(error: str, text: str, answer: Answer, *, now: datetime, rejection_codes: frozenset[str]) -> Outcome:
    if error == "invalid_request" and _SHARED_USE.search(text):
        return Uncertain(code="concurrent_use", shared=True, detail=text)
    if error in rejection_codes or error in REJECTIONS:
        return Rejected(code=error, confirmation=Confirmation.FAST, detail=text)
    if error in SLOW_REJECTIONS:
        return Rejected(code=error, confirmation=Confirmation.SLOW, detail=text)
    if error in MISCONFIGURATIONS:
        return Misconfigured(code=error, detail=text)
    if error in DEFERRALS:
        return Deferred(
            code=error,
            retry_after=_retry_after(answer.headers, now),
            throttled=error == "slow_down" or answer.status in _BUSY,
            detail=text,
        )
    if error == "server_error":
        return Uncertain(code=error, detail=text)
    return _read_unknown_error(text, answer, now=now)


def _read_unknown_error(text: str, answer: Answer, *, now: datetime) -> Outcome:
    """The status decides: web frameworks say `"error": "Not Found"` for a wrong address, and no credential is to blame."""
    outcome = _read_status(answer, now=now)
    if answer.status < HTTPStatus.MULTIPLE_CHOICES or isinstance(outcome, Rejected):
        return Rejected(code="unknown_error", confirmation=Confirmation.SLOWEST, detail=text)
    return replace(outcome, detail=text)


def _read_status(answer: Answer, *, now: datetime) -> Deferred | Uncertain | Rejected | Misconfigured:
    status, retry_after = answer.status, _retry_after(answer.headers, now)
    code = f"http_{status}"
    throttled = status == HTTPStatus.TOO_MANY_REQUESTS
    if status in _NOT_PROCESSED:
        return Deferred(code=code, retry_after=retry_after, throttled=throttled)
    if status == HTTPStatus.SERVICE_UNAVAILABLE and retry_after is not None:
        return Deferred(code=code, retry_after=retry_after, throttled=True)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST or status in _WRONG_ADDRESS:
        return Misconfigured(code=code)
    if status in _REFUSALS:
        return Rejected(code=code, confirmation=Confirmation.SLOWEST)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Rejected(code="http_4xx", confirmation=Confirmation.SLOWEST)
    if HTTPStatus.INTERNAL_SERVER_ERROR <= status < 600:  # noqa: PLR2004 - the end of the server error class
        return Uncertain(code=code)
    return Uncertain(code="http_unknown")


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Seconds or an HTTP date (RFC 9110 §10.2.3), capped at an hour; None when absent or nonsense."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+", value):
        return timedelta(seconds=min(float(value), MAX_RETRY_AFTER.total_seconds()))
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta(0)), MAX_RETRY_AFTER)


def _describe(fields: Mapping[str, object]) -> str:
    texts = (fields.get(key) for key in ("error_description", "error_hint", "hint"))
    return " ".join(text for text in texts if isinstance(text, str))


def _text(body: bytes) -> str:
    """Bytes that are not UTF-8 become lone surrogates, so that one bad byte does not hide its neighbours."""
    return body.decode("utf-8", "surrogateescape")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_plain(text: str) -> bool:
    plain_ascii = text.isascii() and text.isprintable()  # almost every token, and far quicker than a search
    return len(text) <= MAX_TOKEN and (plain_ascii or not _UNPRINTABLE.search(text))
