"""What a success makes of a credential: its tokens are stored, its doubts and rejections end. A part of `settle`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from refreshd.domain import policy as rules
from refreshd.domain.credential import AccessToken, Credential, Health, Lane, laned
from refreshd.domain.events import CredentialRefreshed, RefreshTokenOnly, StreamEvent
from refreshd.domain.outcome import GrantedAccess, Refreshed
from refreshd.domain.policy import RefreshPolicy
from refreshd.domain.token_text import scope_words
from refreshd.domain.transition import Transition


def refreshed(
    seen: Credential,
    outcome: Refreshed,
    access: GrantedAccess,
    policy: RefreshPolicy,
    *,
    sent_at: datetime,
    now: datetime,
    draw: float,
) -> Transition:
    """A new access token. Its life, and so its next turn, is counted from `sent_at`, before the provider can have issued it."""
    lifetime = access.expires_in or policy.access_lifetime
    expires_at = sent_at + lifetime
    turn = rules.refresh_at(policy, issued_at=sent_at, expires_at=expires_at, draw=draw)
    renewal = _renew(seen, outcome, policy, sent_at=sent_at, now=now)
    after = laned(
        replace(
            renewal.after,
            issued_at=sent_at,
            expires_at=expires_at,
            refresh_at=turn,
            next_attempt_at=turn,
            failures=0,
        )
    )
    event = CredentialRefreshed(
        id=after.id,
        client=after.client,
        generation=after.generation,
        expires_at=expires_at,
        refresh_at=turn,
        lead=seen.expires_at - now if seen.expires_at else None,
        lifetime=lifetime,
        recovered=bool(renewal.stream),
        doubt_resolved=seen.in_doubt,
        anomalies=outcome.anomalies + _scope_anomalies(seen, outcome, policy),
    )
    return Transition(
        after=after,
        event=event,
        refresh_token=outcome.refresh_token,
        access=AccessToken(value=access.value, token_type=access.token_type, issued_at=sent_at, expires_at=expires_at),
        visible=True,
        stream=(*renewal.stream, StreamEvent.REFRESHED),
        proves_sliding=renewal.proves_sliding,
        warnings_left=renewal.warnings_left,
    )


def refresh_token_only(
    seen: Credential,
    outcome: Refreshed,
    policy: RefreshPolicy,
    *,
    sent_at: datetime,
    now: datetime,
    draw: float,
) -> Transition:
    """Persist first, judge later (protocol R6): the login is saved, the access token is asked for again."""
    renewal = _renew(seen, outcome, policy, sent_at=sent_at, now=now)
    wait = rules.backoff(seen.failures, now=now, expires_at=seen.expires_at, draw=draw)
    after = laned(replace(renewal.after, next_attempt_at=now + wait, failures=seen.failures + 1))
    event = RefreshTokenOnly(
        id=after.id,
        client=after.client,
        generation=after.generation,
        code=outcome.code,
        next_attempt_at=after.next_attempt_at,
        anomalies=outcome.anomalies + _scope_anomalies(seen, outcome, policy),
    )
    return Transition(
        after=after,
        event=event,
        refresh_token=outcome.refresh_token,
        visible=_shown(after) != _shown(seen),
        stream=renewal.stream,
        proves_sliding=renewal.proves_sliding,
        warnings_left=renewal.warnings_left,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Renewal:
    """What any new token does to the login. `after`: still without a schedule. The others are as in `Transition`."""

    after: Credential
    stream: tuple[StreamEvent, ...]
    proves_sliding: bool
    warnings_left: int


def _renew(
    seen: Credential, outcome: Refreshed, policy: RefreshPolicy, *, sent_at: datetime, now: datetime
) -> _Renewal:
    proves = _proves_sliding(seen, policy, sent_at)
    rotated_at = sent_at if outcome.refresh_token else seen.rotated_at
    deadline, warnings_left = _deadline(seen, policy, rotated_at=rotated_at, sent_at=sent_at, now=now, sliding=proves)
    after = replace(
        seen,
        **_CLEARED,
        generation=seen.generation + 1,
        scope=outcome.scope or seen.scope,
        rotated_at=rotated_at,
        relogin_by=deadline,
        relogin_step=min(seen.relogin_step, warnings_left),
    )
    recovered = seen.health is Health.RELOGIN_REQUIRED
    stream = (StreamEvent.RECOVERED,) if recovered else ()
    return _Renewal(after=after, stream=stream, proves_sliding=proves, warnings_left=warnings_left)


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
    granted = frozenset(scope_words(outcome.scope))
    narrowed = not granted.issuperset(scope_words(seen.scope))
    missing = bool(policy.required_scope) and policy.required_scope not in granted
    kinds = (("scope_narrowed", narrowed), ("required_scope_missing", missing))
    return tuple(kind for kind, found in kinds if found)
