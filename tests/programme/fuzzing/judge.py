"""What an answer must come to, read from RFC 6749, RFC 9110 and protocol.md §3 alone: nothing of the product is asked.

Where those leave room, several outcomes are permitted. `Reading` is the judgement, `judge` makes it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.programme.fuzzing import words
from tests.programme.fuzzing.legible import Pairs, object_of, readable, stray, texts_of, visible

REFRESHED, DEFERRED, UNCERTAIN, SHARED, MISCONFIGURED = (
    "refreshed",
    "deferred",
    "uncertain",
    "shared use",
    "misconfigured",
)
FAST, SLOW, SLOWEST = "rejected fast", "rejected slow", "rejected slowest"
HOUR = timedelta(hours=1)

_VISIBLE = re.compile(r"[\x21-\x7e]{1,8000}")  # RFC 6749 appendix A.12: VSCHAR, without the space
_NEVER = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")  # in a header it would be another header, or nothing at all
_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HINTS = ("error_description", "error_hint", "hint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What may come of one answer.

    `permitted`: the outcomes. `keep`: one of these refresh tokens must be kept, none if empty. `keep_some`: one stands there, but
    its bytes are no UTF-8, so that any text will do. `may_keep`: what may be kept at all. `access`: the access token that must be
    published; `may_publish`: those that may be. `lifetime`: how long it lives, if that was said plainly. `wait`: what Retry-After
    must come to. `whole`: the body is a JSON object from end to end.
    """

    permitted: frozenset[str]
    keep: frozenset[str] = frozenset()
    keep_some: bool = False
    may_keep: frozenset[str] = frozenset()
    access: str | None = None
    may_publish: frozenset[str] = frozenset()
    lifetime: timedelta | None = None
    wait: timedelta | None = None
    whole: bool = False
    duplicates: bool = False


def judge(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Reading:
    """`headers` has lower-case names, `body` is unpacked."""
    succeeded = 200 <= status < 300
    pairs = object_of(body)
    wait, wait_sure = _wait(headers.get("retry-after"), now)
    by_status = _by_status(status, has_wait=wait is not None, wait_sure=wait_sure)
    given = wait if wait_sure else None
    if pairs is None:
        if not succeeded:
            return Reading(permitted=by_status, wait=given)
        return _by_eye(readable(body), frozenset({UNCERTAIN}))
    duplicates = len({key for key, _ in pairs}) < len(pairs)
    errors = [value for key, value in pairs if key == "error"]
    if succeeded:
        tokens = texts_of(pairs, "refresh_token")
        if tokens:
            return _kept(tokens[-1], pairs, duplicates=duplicates)
    if any(isinstance(error, str) and error for error in errors):
        return Reading(
            permitted=frozenset().union(*(_by_error(error, pairs, status, by_status) for error in errors)),
            may_keep=frozenset(visible(readable(body)).values()),
            may_publish=_access(pairs)[1],
            wait=given,
            whole=True,
            duplicates=duplicates,
        )
    if not succeeded:
        return Reading(permitted=by_status, wait=given, whole=True, duplicates=duplicates)
    return _access_only(pairs, body, duplicates=duplicates)


def _kept(token: str, pairs: Pairs, *, duplicates: bool) -> Reading:
    access, may_publish = _access(pairs)
    return Reading(
        permitted=frozenset({REFRESHED}),
        keep=frozenset({token}),
        may_keep=frozenset({token}),
        access=access,
        may_publish=may_publish,
        lifetime=_lifetime(pairs),
        whole=True,
        duplicates=duplicates,
    )


def _access_only(pairs: Pairs, body: bytes, *, duplicates: bool) -> Reading:
    """A success without a refresh token of its own: the access token, or else whatever can be made out by eye."""
    access, may_publish = _access(pairs)
    if access is not None:
        return Reading(
            permitted=frozenset({REFRESHED}),
            access=access,
            may_publish=may_publish,
            lifetime=_lifetime(pairs),
            whole=True,
            duplicates=duplicates,
        )
    found = _by_eye(readable(body), frozenset({UNCERTAIN}))
    if not may_publish:
        return found
    return Reading(
        permitted=found.permitted | {REFRESHED},
        may_keep=found.may_keep | found.keep,
        may_publish=may_publish,
        whole=True,
        duplicates=duplicates,
    )


def _by_eye(text: str, otherwise: frozenset[str]) -> Reading:
    literals = visible(text)
    if not literals:
        return Reading(permitted=otherwise)
    tokens, broken = literals.values(), stray(literals)
    return Reading(
        permitted=frozenset({REFRESHED}),
        keep=frozenset() if broken else frozenset(tokens),
        keep_some=broken,
        may_keep=frozenset(tokens),
    )


def _by_error(error: object, pairs: Pairs, status: int, by_status: frozenset[str]) -> frozenset[str]:
    if not isinstance(error, str) or not error:
        return by_status | ({UNCERTAIN, REFRESHED} if 200 <= status < 300 else set())
    if error == "invalid_request":
        return _by_hint(pairs)
    if error == words.OWN_REJECTION:
        return frozenset({FAST})
    if error in words.REJECTING:
        return frozenset({f"rejected {words.REJECTING[error]}"})
    if error in words.MISCONFIGURING:
        return frozenset({MISCONFIGURED})
    if error in words.DEFERRING:
        return frozenset({DEFERRED})
    if error == "server_error":
        return frozenset({UNCERTAIN})
    if status < 200:  # no final answer that a client could have got
        return frozenset({SLOWEST, UNCERTAIN})
    return frozenset({SLOWEST}) if status < 300 else by_status


def _by_hint(pairs: Pairs) -> frozenset[str]:
    texts = [value for key, value in pairs if key in _HINTS and isinstance(value, str)]
    names = [key for key, _ in pairs if key in _HINTS]
    if any(hint in text for text in texts for hint in words.SHARED_USE) and len(set(names)) == len(names):
        return frozenset({SHARED})
    said = " ".join(texts).lower()
    unsure = any(word in said for word in ("concurren", "simultaneous", "retry"))
    return frozenset({SLOW, SHARED}) if unsure else frozenset({SLOW})


def _by_status(status: int, *, has_wait: bool, wait_sure: bool) -> frozenset[str]:
    if status in (408, 421, 425, 429):
        return frozenset({DEFERRED})
    if status == 503:
        if not wait_sure:
            return frozenset({DEFERRED, UNCERTAIN})
        return frozenset({DEFERRED if has_wait else UNCERTAIN})
    if status in (404, 405, 407, 410, 415) or 300 <= status < 400:
        return frozenset({MISCONFIGURED})
    if status in (400, 401, 403):
        return frozenset({SLOWEST})
    if 400 <= status < 500:
        return frozenset({SLOWEST, MISCONFIGURED})
    if status in (501, 505, 511):  # the table names neither; no credential is to blame
        return frozenset({UNCERTAIN, MISCONFIGURED})
    return frozenset({UNCERTAIN})


def _wait(value: str | None, now: datetime) -> tuple[timedelta | None, bool]:
    """How long to wait at least, and whether that is beyond doubt."""
    if value is None or not value.strip():
        return None, True
    if re.fullmatch("[0-9]+", value):
        digits = value.lstrip("0") or "0"
        return min(timedelta(seconds=int(digits)), HOUR) if len(digits) < 10 else HOUR, True
    found = _DATE.fullmatch(value)
    if found is None or found[2] not in _MONTHS:
        return None, False
    day, year, hour, minute, second = (int(found[number]) for number in (1, 3, 4, 5, 6))
    try:
        at = datetime(year, _MONTHS.index(found[2]) + 1, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None, False
    return (min(max(at - now, timedelta(0)), HOUR), True) if year > 1900 else (None, False)


def _access(pairs: Pairs) -> tuple[str | None, frozenset[str]]:
    """The access token that must be usable, and all that may be."""
    values = [value for key, value in pairs if key == "access_token"]
    types = [value for key, value in pairs if key == "token_type"]
    possible = frozenset(value for value in values if isinstance(value, str) and value and not _NEVER.search(value))
    bearer = [isinstance(value, str) and value.lower() == "bearer" for value in types]
    if types and not any(bearer) and types[-1] is not None:
        return None, frozenset()
    sure = len(values) == 1 and isinstance(values[0], str) and _VISIBLE.fullmatch(values[0]) is not None
    if sure and len(types) == 1 and bearer[0]:
        return str(values[0]), possible
    return None, possible


def _lifetime(pairs: Pairs) -> timedelta | None:
    values = [value for key, value in pairs if key == "expires_in"]
    value = values[0] if len(values) == 1 else None
    plain = isinstance(value, float) and value.is_integer() and 1 <= value <= 31 * 86_400
    return timedelta(seconds=int(value)) if plain and isinstance(value, float) else None
