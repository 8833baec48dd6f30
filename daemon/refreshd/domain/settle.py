"""The only state machine: what one outcome makes of one credential. Pure; it never erases a refresh token."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from refreshd.domain import condemnation
from refreshd.domain import policy as rules
from refreshd.domain.credential import FIRST_FAILURES, AccessToken, Credential, Health, Lane, laned
from refreshd.domain.events import (
    CredentialRefreshed,
    RefreshDeferred,
    RefreshMisconfigured,
    RefreshTokenOnly,
    RefreshUncertain,
    StreamEvent,
)
from refreshd.domain.outcome import (
    Deferred,
    GrantedAccess,
    Misconfigured,
    Outcome,
    Refreshed,
    Rejected,
    Uncertain,
    label,
    phase_of,
)
from refreshd.domain.policy import RefreshPolicy
from refreshd.domain.transition import Transition


def settle(
    before: Credential,
    outcome: Outcome,
    policy: RefreshPolicy,
    *,
    sent_at: datetime,
    now: datetime,
    draw: float,
    storm: bool = False,
) -> Transition:
    """Decide the next state.

    `sent_at`: before the request left, expiry counts from it. `draw`: chance in [0, 1). `storm`: so many are refused that
    nobody is condemned (protocol R10).
    """
    decided = _decide(before, outcome, policy, sent_at=sent_at, now=now, draw=draw, storm=storm)
    return replace(decided, phase=phase_of(outcome))


def _decide(
    before: Credential,
    outcome: Outcome,
    policy: RefreshPolicy,
    *,
    sent_at: datetime,
    now: datetime,
    draw: float,
    storm: bool,
) -> Transition:
    seen = replace(before, attempted_at=now, last_outcome=label(outcome), last_code=outcome.code)
    match outcome:
        case Refreshed(access=GrantedAccess() as access):
            return _refreshed(seen, outcome, access, policy, sent_at=sent_at, now=now, draw=draw)
        case Refreshed(refresh_token=None):  # nothing came that was not known before
            nothing = Uncertain(code=outcome.code)
            return _decide(before, nothing, policy, sent_at=sent_at, now=now, draw=draw, storm=storm)
        case Refreshed():
            return _refresh_token_only(seen, outcome, policy, sent_at=sent_at, now=now, draw=draw)
        case Deferred():
            return _deferred(seen, outcome, policy, now=now, draw=draw)
        case Uncertain():
            return _uncertain(seen, outcome, policy, now=now, draw=draw)
        case Rejected():
            return condemnation.refused(seen, outcome, now=now, draw=draw, storm=storm)
        case Misconfigured():
            return _misconfigured(seen, outcome, now=now)
        case _:
            assert_never(outcome)


def _refreshed(
    seen: Credential,
    outcome: Refreshed,
    access: GrantedAccess,
    policy: RefreshPolicy,
    *,
    sent_at: datetime,
    now: datetime,
    draw: float,
) -> Transition:
    lifetime = access.expires_in or policy.access_lifetime
    token = AccessToken(
        value=access.value,
        token_type=access.token_type,
        issued_at=sent_at,
        expires_at=sent_at + lifetime,
    )
    turn = rules.refresh_at(policy, issued_at=sent_at, expires_at=sent_at + lifetime, draw=draw)
    proves = _proves_sliding(seen, policy, sent_at)
    rotated_at = sent_at if outcome.refresh_token else seen.rotated_at
    deadline, warnings_left = _deadline(seen, policy, rotated_at=rotated_at, sent_at=sent_at, now=now, sliding=proves)
    after = replace(
        seen,
        **_CLEARED,
        generation=seen.generation + 1,
        scope=outcome.scope or seen.scope,
        rotated_at=rotated_at,
        issued_at=sent_at,
        expires_at=sent_at + lifetime,
        refresh_at=turn,
        next_attempt_at=turn,
        failures=0,
        relogin_by=deadline,
        relogin_step=min(seen.relogin_step, warnings_left),
    )
    after = laned(after)
    recovered = seen.health is Health.RELOGIN_REQUIRED
    event = CredentialRefreshed(
        id=after.id,
        client=after.client,
        generation=after.generation,
        expires_at=sent_at + lifetime,
        refresh_at=turn,
        lead=seen.expires_at - now if seen.expires_at else None,
        lifetime=lifetime,
        recovered=recovered,
        doubt_resolved=seen.in_doubt,
        anomalies=outcome.anomalies + _scope_anomalies(seen, outcome, policy),
    )
    stream = (StreamEvent.RECOVERED,) if recovered else ()
    return Transition(
        after=after,
        event=event,
        refresh_token=outcome.refresh_token,
        access=token,
        visible=True,
        stream=(*stream, StreamEvent.REFRESHED),
        proves_sliding=proves,
        warnings_left=warnings_left,
    )


def _refresh_token_only(
    seen: Credential,
    outcome: Refreshed,
    policy: RefreshPolicy,
    *,
    sent_at: datetime,
    now: datetime,
    draw: float,
) -> Transition:
    """Persist first, judge later (protocol R6): the login is saved, the access token is asked for again."""
    wait = rules.backoff(seen.failures, now=now, expires_at=seen.expires_at, draw=draw)
    proves = _proves_sliding(seen, policy, sent_at)
    deadline, warnings_left = _deadline(seen, policy, rotated_at=sent_at, sent_at=sent_at, now=now, sliding=proves)
    after = replace(
        seen,
        **_CLEARED,
        generation=seen.generation + 1,
        scope=outcome.scope or seen.scope,
        rotated_at=sent_at,
        next_attempt_at=now + wait,
        failures=seen.failures + 1,
        relogin_by=deadline,
        relogin_step=min(seen.relogin_step, warnings_left),
    )
    after = laned(after)
    event = RefreshTokenOnly(
        id=after.id,
        client=after.client,
        generation=after.generation,
        code=outcome.code,
        next_attempt_at=after.next_attempt_at,
        anomalies=outcome.anomalies + _scope_anomalies(seen, outcome, policy),
    )
    recovered = seen.health is Health.RELOGIN_REQUIRED
    return Transition(
        after=after,
        event=event,
        refresh_token=outcome.refresh_token,
        visible=_shown(after) != _shown(seen),
        stream=(StreamEvent.RECOVERED,) if recovered else (),
        proves_sliding=proves,
        warnings_left=warnings_left,
    )


def _deferred(seen: Credential, outcome: Deferred, policy: RefreshPolicy, *, now: datetime, draw: float) -> Transition:
    wait = rules.backoff(seen.failures, now=now, expires_at=seen.expires_at, draw=draw)
    if seen.in_doubt and not policy.settle_delay and seen.failures <= FIRST_FAILURES:
        wait = rules.BACKOFF_FLOOR  # the grace is running
    if outcome.retry_after is not None:
        wait = max(wait, outcome.retry_after)
    after = laned(replace(seen, failures=seen.failures + 1, next_attempt_at=now + wait))
    event = RefreshDeferred(
        id=after.id,
        client=after.client,
        generation=after.generation,
        code=outcome.code,
        failures=after.failures,
        next_attempt_at=after.next_attempt_at,
        detail=outcome.detail,
    )
    return Transition(after=after, event=event)


def _uncertain(
    seen: Credential, outcome: Uncertain, policy: RefreshPolicy, *, now: datetime, draw: float
) -> Transition:
    """Doubt: the same token is presented again, but not before our own late request must have died (protocol R8)."""
    wait = rules.BACKOFF_FLOOR if not policy.settle_delay else timedelta(0)  # within a grace every second counts
    if seen.in_doubt and seen.failures:  # only what is repeated backs off; earlier deferrals are no reason to wait
        wait = rules.backoff(seen.failures, now=now, expires_at=seen.expires_at, draw=draw)
    after = laned(
        replace(
            seen,
            in_doubt=True,
            failures=seen.failures + 1 if seen.in_doubt else 1,
            next_attempt_at=now + policy.settle_delay + wait,
        )
    )
    event = RefreshUncertain(
        id=after.id,
        client=after.client,
        generation=after.generation,
        code=outcome.code,
        failures=after.failures,
        next_attempt_at=after.next_attempt_at,
        shared=outcome.shared,
        detail=outcome.detail,
    )
    return Transition(after=after, event=event, visible=not seen.in_doubt)


def _misconfigured(seen: Credential, outcome: Misconfigured, *, now: datetime) -> Transition:
    """Only the schedule is given back: the client is suspended, so the row stays due and nobody is asked to log in."""
    due_at = min(seen.refresh_at, now) if seen.refresh_at else now
    after = laned(replace(seen, next_attempt_at=due_at))
    event = RefreshMisconfigured(
        id=after.id,
        client=after.client,
        generation=after.generation,
        code=outcome.code,
        detail=outcome.detail,
    )
    return Transition(after=after, event=event)


_CLEARED: Mapping[str, Any] = {
    "health": Health.ACTIVE,
    "reason": None,
    "in_doubt": False,
    "rejections": 0,
    "rejected_code": None,
    "first_rejected_at": None,
    "condemned_at": None,
    "lane": Lane.ORDINARY,
}
"""A success ends doubt, rejections and condemnation; its lane is most often the ordinary one."""


def _deadline(
    seen: Credential,
    policy: RefreshPolicy,
    *,
    rotated_at: datetime,
    sent_at: datetime,
    now: datetime,
    sliding: bool,
) -> tuple[datetime | None, int]:
    """The re-login deadline, and how many warnings it leaves standing. A warning given is never given twice."""
    if sliding:
        policy = replace(policy, lifetime_from=rules.LifetimeFrom.ROTATION)
    deadline = rules.relogin_by(policy, login_at=seen.login_at, rotated_at=rotated_at)
    if deadline is not None and policy.refresh_lifetime is not None and deadline < sent_at:
        deadline = sent_at + policy.refresh_lifetime  # this success came after that end, without a new refresh token
    return deadline, rules.steps_reached(policy.ladder, deadline=deadline, now=now)


def _proves_sliding(seen: Credential, policy: RefreshPolicy, sent_at: datetime) -> bool:
    if policy.refresh_lifetime is None or policy.lifetime_from is rules.LifetimeFrom.ROTATION:
        return False
    return sent_at > seen.login_at + policy.refresh_lifetime


def _shown(credential: Credential) -> tuple[object, ...]:
    """The part of a credential that Redis shows, tokens aside."""
    return (
        credential.health,
        credential.reason,
        credential.in_doubt,
        credential.relogin_step,
        credential.relogin_by,
    )


def _scope_anomalies(seen: Credential, outcome: Refreshed, policy: RefreshPolicy) -> tuple[str, ...]:
    if outcome.scope is None:
        return ()
    granted = rules.words_of(outcome.scope)
    narrowed = not rules.words_of(seen.scope) <= granted
    missing = bool(policy.required_scope) and policy.required_scope not in granted
    kinds = (("scope_narrowed", narrowed), ("required_scope_missing", missing))
    return tuple(kind for kind, found in kinds if found)
