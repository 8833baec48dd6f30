"""Generated credentials, outcomes and policies: everything that a row or a provider can bring to `settle`."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from refreshd.domain.credential import ClientName, Credential, CredentialId, FamilyId, Health, Lane, Reason
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

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

KINDS = {
    "invalid_grant": Confirmation.FAST,
    "token_inactive": Confirmation.FAST,
    "bad_refresh_token": Confirmation.FAST,
    "access_denied": Confirmation.FAST,
    "invalid_request": Confirmation.SLOW,
    "invalid_scope": Confirmation.SLOW,
    "unknown_error": Confirmation.SLOWEST,
    "http_400": Confirmation.SLOWEST,
    "http_401": Confirmation.SLOWEST,
}


def policy(
    *,
    refresh_lifetime: timedelta | None = 30 * DAY,
    lifetime_from: LifetimeFrom = LifetimeFrom.UNKNOWN,
    refresh_before_expiry: timedelta = 5 * MINUTE,
    spread: float = 0.05,
    scan_interval: timedelta = SECOND,
    settle_delay: timedelta = MINUTE,
    request_timeout: timedelta = 90 * SECOND,
    reuse_grace: timedelta = timedelta(0),
    required_scope: str = "",
) -> RefreshPolicy:
    """The defaults of the product contract."""
    return RefreshPolicy(
        access_lifetime=HOUR,
        refresh_lifetime=refresh_lifetime,
        lifetime_from=lifetime_from,
        refresh_before_expiry=refresh_before_expiry,
        spread=spread,
        scan_interval=scan_interval,
        request_timeout=request_timeout,
        settle_delay=settle_delay,
        reuse_grace=reuse_grace,
        commit_timeout=timedelta(seconds=10),
        warn_before=(DAY, 7 * DAY, 3 * DAY),
        required_scope=required_scope,
    )


def credential(
    *,
    generation: int = 1,
    scope: str = "offline account",
    login_at: datetime = NOW - DAY,
    rotated_at: datetime = NOW - HOUR,
    expires_at: datetime | None = NOW + 5 * MINUTE,
    refresh_at: datetime | None = NOW,
    in_doubt: bool = False,
    failures: int = 0,
    relogin_step: int = 0,
    relogin_by: datetime | None = NOW + 29 * DAY,
) -> Credential:
    """An ordinary row whose turn has come."""
    return Credential(
        id=CredentialId("acme/1"),
        client=ClientName("frameio"),
        family=FamilyId("F1"),
        scope=scope,
        generation=generation,
        login_at=login_at,
        rotated_at=rotated_at,
        issued_at=rotated_at if expires_at else None,
        expires_at=expires_at,
        refresh_at=refresh_at,
        next_attempt_at=NOW,
        in_doubt=in_doubt,
        failures=failures,
        relogin_by=relogin_by,
        relogin_step=relogin_step,
    )


def refreshed(
    *,
    access: bool = True,
    refresh_token: str | None = "new",
    expires_in: timedelta | None = HOUR,
    scope: str | None = None,
) -> Refreshed:
    token = GrantedAccess(value=Secret("access"), token_type="bearer", expires_in=expires_in)
    return Refreshed(
        access=token if access else None, refresh_token=Secret(refresh_token) if refresh_token else None, scope=scope
    )


def rejected(code: str = "invalid_grant") -> Rejected:
    return Rejected(code=code, confirmation=KINDS[code])


def seconds(least: timedelta, most: timedelta) -> st.SearchStrategy[timedelta]:
    """Lengths of whole seconds: far cheaper to generate than arbitrary ones, and as likely to meet a boundary."""
    return st.integers(min_value=int(least / SECOND), max_value=int(most / SECOND)).map(lambda count: count * SECOND)


draws = st.integers(min_value=0, max_value=99).map(lambda percent: percent / 100)
spans = seconds(timedelta(0), 60 * DAY)
past = spans.map(lambda span: NOW - span)
near = seconds(-2 * DAY, 2 * DAY).map(lambda span: NOW + span)
scopes = st.sampled_from(["", "offline", "offline account", "account"])
texts = st.sampled_from(["one", "two", "three", "\r\n", "\ud800"])
lifetimes = seconds(SECOND, 31 * DAY)

policies = st.builds(
    RefreshPolicy,
    access_lifetime=lifetimes,
    refresh_lifetime=st.none() | seconds(HOUR, 90 * DAY),
    lifetime_from=st.sampled_from(LifetimeFrom),
    refresh_before_expiry=seconds(2 * SECOND, HOUR),
    spread=st.sampled_from([0, 0.05, 0.5]),
    scan_interval=st.sampled_from([SECOND / 10, SECOND, 10 * SECOND]),
    request_timeout=seconds(5 * SECOND, 3 * MINUTE),
    settle_delay=st.just(timedelta(0)) | seconds(SECOND, 3 * MINUTE),
    reuse_grace=st.just(timedelta(0)) | seconds(SECOND, 10 * MINUTE),
    commit_timeout=st.just(10 * SECOND),
    warn_before=st.sampled_from([(), (DAY,), (DAY, 7 * DAY, 3 * DAY), (HOUR, 9 * DAY)]),
    required_scope=scopes,
)


@st.composite
def credentials(draw: st.DrawFn) -> Credential:
    """Any row that may be claimed: active or condemned, in doubt or not, with or without a living access token."""
    condemned = draw(st.booleans())
    rejections = draw(st.integers(min_value=1 if condemned else 0, max_value=7))
    login_at = draw(past)
    expires_at = None if condemned else draw(st.none() | near)
    return Credential(
        id=CredentialId("acme/1"),
        client=ClientName("frameio"),
        family=FamilyId("F1"),
        scope=draw(scopes),
        generation=draw(st.integers(min_value=1, max_value=2**40)),
        login_at=login_at,
        rotated_at=login_at + (NOW - login_at) * draw(draws),
        issued_at=expires_at - HOUR if expires_at else None,
        expires_at=expires_at,
        refresh_at=expires_at - 5 * MINUTE if expires_at else None,
        next_attempt_at=draw(past),
        lane=draw(st.sampled_from(Lane)),
        health=Health.RELOGIN_REQUIRED if condemned else Health.ACTIVE,
        reason=draw(st.sampled_from([Reason.REFUSED, Reason.ROTATION_LOST])) if condemned else None,
        in_doubt=draw(st.booleans()),
        failures=draw(st.integers(min_value=0, max_value=10_000)),
        rejections=rejections,
        rejected_code=draw(st.sampled_from(sorted(KINDS))) if rejections else None,
        first_rejected_at=draw(past) if rejections else None,
        condemned_at=draw(past) if condemned else None,
        relogin_by=draw(st.none() | near),
        relogin_step=draw(st.integers(min_value=0, max_value=4)),
    )


_accesses = st.builds(
    GrantedAccess,
    value=texts.map(Secret),
    token_type=st.sampled_from(["bearer", "Bearer"]),
    expires_in=st.none() | lifetimes,
)
successes = st.builds(
    Refreshed,
    access=st.none() | _accesses,
    refresh_token=st.none() | texts.map(Secret),
    scope=st.none() | scopes.filter(bool),
)
deferrals = st.builds(
    Deferred,
    code=st.just("http_429"),
    retry_after=st.none() | seconds(timedelta(0), HOUR),
    throttled=st.booleans(),
)
doubts = st.builds(Uncertain, code=st.just("deadline"), shared=st.booleans())
refusals = st.sampled_from(sorted(KINDS)).map(rejected)
faults = st.builds(Misconfigured, code=st.just("invalid_client"))
outcomes: st.SearchStrategy[Outcome] = st.one_of(successes, deferrals, doubts, refusals, faults)
