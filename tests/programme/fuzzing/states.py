"""Credentials before an answer: in every state that an answer can meet them in."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from refreshd.domain.credential import ClientName, Credential, CredentialId, FamilyId, Health, Reason, lane_of
from tests.fakes import START
from tests.programme.fuzzing.judge import FAST, SLOW, SLOWEST

HOUR = timedelta(hours=1)
NOW = START
SENT_AT = NOW - timedelta(seconds=1)

_FRESH = Credential(
    id=CredentialId("acme/1"),
    client=ClientName("acme"),
    family=FamilyId("F1"),
    scope="offline read",
    generation=7,
    login_at=NOW - 48 * HOUR,
    rotated_at=NOW - HOUR,
    issued_at=NOW - HOUR,
    expires_at=NOW + timedelta(minutes=5),
    refresh_at=NOW,
    next_attempt_at=NOW,
    relogin_by=NOW + 28 * 24 * HOUR,
)
_EXPIRED = replace(_FRESH, issued_at=NOW - 30 * HOUR, expires_at=NOW - 29 * HOUR, refresh_at=NOW - 30 * HOUR)


def _refused(before: Credential, code: str, times: int) -> Credential:
    return replace(before, rejections=times, rejected_code=code, first_rejected_at=NOW - 25 * HOUR)


_DOUBT = replace(_FRESH, in_doubt=True, failures=1)
_CONDEMNED = replace(
    _refused(_FRESH, "invalid_grant", 2),
    health=Health.RELOGIN_REQUIRED,
    reason=Reason.REFUSED,
    condemned_at=NOW - HOUR,
    issued_at=None,
    expires_at=None,
    refresh_at=None,
)

STATES: Mapping[str, Credential] = {
    name: replace(state, lane=lane_of(state))
    for name, state in {
        "fresh": _FRESH,
        "undated": replace(_FRESH, issued_at=None, expires_at=None, refresh_at=None, failures=40),
        "expired": _EXPIRED,
        "in doubt": _DOUBT,
        "confirming fast": _refused(_FRESH, "invalid_grant", 1),
        "confirming in doubt": _refused(_DOUBT, "token_inactive", 1),
        "confirming slow": _refused(_FRESH, "invalid_scope", 3),
        "confirming slowest": _refused(_EXPIRED, "unknown_error", 4),
        "condemned": _CONDEMNED,
        "condemned in doubt": replace(_CONDEMNED, in_doubt=True),
    }.items()
}
KINDS = (
    ("fresh", "undated", "expired"),
    ("in doubt",),
    ("confirming fast", "confirming in doubt", "confirming slow", "confirming slowest"),
    ("condemned", "condemned in doubt"),
)
"""Every answer is settled from one state of each kind."""

ENOUGH: Mapping[str, str] = {
    "confirming fast": FAST,
    "confirming in doubt": FAST,
    "confirming slow": SLOW,
    "confirming slowest": SLOWEST,
}
"""The refusal that makes each of these states final (protocol R10); every other state survives any one answer."""
