"""The table of transitions, as `settle` decides it: printed into docs/states.md by `make states`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from refreshd.domain.credential import ClientName, Credential, CredentialId, FamilyId, Health, Reason, lane_of
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
from refreshd.domain.policy import LifetimeFrom, RefreshPolicy
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from refreshd.domain.transition import Transition

PAGE = Path(__file__).parents[3] / "docs/states.md"
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DRAW = 0.5

POLICY = RefreshPolicy(
    access_lifetime=HOUR,
    refresh_lifetime=timedelta(days=30),
    lifetime_from=LifetimeFrom.UNKNOWN,
    refresh_before_expiry=5 * MINUTE,
    spread=0.05,
    scan_interval=timedelta(seconds=1),
    request_timeout=timedelta(seconds=90),
    settle_delay=timedelta(seconds=60),
    commit_timeout=timedelta(seconds=10),
    warn_before=(timedelta(days=7),),
)
GRACE = replace(
    POLICY, settle_delay=timedelta(0), request_timeout=timedelta(seconds=10), reuse_grace=timedelta(seconds=30)
)

ACTIVE = Credential(
    id=CredentialId("a"),
    client=ClientName("acme"),
    family=FamilyId("f"),
    scope="offline",
    generation=7,
    login_at=NOW - timedelta(days=3),
    rotated_at=NOW - HOUR,
    issued_at=NOW - 55 * MINUTE,
    expires_at=NOW + 5 * MINUTE,
    refresh_at=NOW,
    relogin_by=NOW + timedelta(days=27),
)
REFUSED_ONCE = replace(ACTIVE, rejections=1, rejected_code="invalid_grant", first_rejected_at=NOW - MINUTE)
CONDEMNED = replace(
    REFUSED_ONCE,
    health=Health.RELOGIN_REQUIRED,
    reason=Reason.REFUSED,
    rejections=2,
    condemned_at=NOW - HOUR,
    issued_at=None,
    expires_at=None,
    refresh_at=None,
)

STATES: Mapping[str, Credential] = {
    "active": ACTIVE,
    "failing": replace(ACTIVE, failures=2),
    "in doubt": replace(ACTIVE, in_doubt=True, failures=1),
    "refused once": REFUSED_ONCE,
    "refused once, in doubt": replace(REFUSED_ONCE, in_doubt=True),
    "relogin required": CONDEMNED,
    "relogin required, in doubt": replace(CONDEMNED, in_doubt=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One column of what can happen."""

    outcome: Outcome
    policy: RefreshPolicy = POLICY
    storm: bool = False


def _refused(code: str, confirmation: Confirmation) -> Rejected:
    return Rejected(code=code, confirmation=confirmation)


_ACCESS = GrantedAccess(value=Secret("access"), token_type="bearer", expires_in=HOUR)
CASES: Mapping[str, Case] = {
    "tokens": Case(outcome=Refreshed(access=_ACCESS, refresh_token=Secret("new"))),
    "access token alone (not rotated)": Case(outcome=Refreshed(access=_ACCESS, refresh_token=None)),
    "refresh token alone": Case(
        outcome=Refreshed(access=None, refresh_token=Secret("new"), code="no_usable_access_token")
    ),
    "deferred": Case(outcome=Deferred(code="http_429")),
    "uncertain": Case(outcome=Uncertain(code="deadline")),
    "uncertain, with a grace": Case(outcome=Uncertain(code="deadline"), policy=GRACE),
    "refused (invalid_grant)": Case(outcome=_refused("invalid_grant", Confirmation.FAST)),
    "refused (invalid_grant), in a storm": Case(outcome=_refused("invalid_grant", Confirmation.FAST), storm=True),
    "refused (invalid_request)": Case(outcome=_refused("invalid_request", Confirmation.SLOW)),
    "refused (unknown code)": Case(outcome=_refused("unknown_error", Confirmation.SLOWEST)),
    "misconfigured": Case(outcome=Misconfigured(code="invalid_client")),
}

_HEAD = """# States

What each outcome makes of each state. `settle` is the only state machine; this page is printed from it by `make states`, and a
test fails when the two differ. An operator's `paused` stands beside these states and changes none of them; `held` credentials are
not refreshed at all. Waits are those of the defaults with every draw at its middle, an access token with five minutes left, and a
login with weeks left. *Shown*: Redis gets a new revision.

Refusals are confirmed before they are believed: `invalid_grant` and its relatives once, after 45 s; `invalid_request` and the scope
codes after 1, 5 and 15 min; what nobody has heard of five times, over a day at least, and only once the access token has expired.
A token that was put aside (see [architecture](architecture.md)) is taken up before that, as if it had come as the answer.

| state | outcome | next state | tries again | lane | changes |
| --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    return _HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in _rows())


def _rows() -> Iterator[tuple[str, ...]]:
    for state, before in STATES.items():
        seen = replace(before, lane=lane_of(before))
        for name, case in CASES.items():
            done = settle(seen, case.outcome, case.policy, sent_at=NOW, now=NOW, draw=DRAW, storm=case.storm)
            yield state, name, _state(done.after), _wait(done.after), done.after.lane.name.lower(), _changes(seen, done)


def _state(after: Credential) -> str:
    parts = ["active" if after.health is Health.ACTIVE else f"relogin required ({after.reason})"]
    parts += ["in doubt"] if after.in_doubt else []
    parts += [f"refused {after.rejections} x"] if after.rejections and after.health is Health.ACTIVE else []
    parts += [f"failed {after.failures} x"] if after.failures else []
    return ", ".join(parts)


def _wait(after: Credential) -> str:
    if after.next_attempt_at is None:
        return "never by itself"
    seconds = (after.next_attempt_at - NOW).total_seconds()
    if seconds <= 0:
        return "at once"
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length or seconds == length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def _changes(before: Credential, done: Transition) -> str:
    said = [
        ("new refresh token", done.refresh_token is not None),
        ("new access token", done.access is not None),
        ("access token withdrawn", done.withdraw_access),
        ("generation + 1", done.after.generation > before.generation),
        ("shown", done.visible),
        (f"tells {', '.join(done.stream)}", bool(done.stream)),
    ]
    return ", ".join(text for text, true in said if true) or "-"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
