"""The only state machine: what one outcome makes of one credential. Pure; it never erases a refresh token."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from refreshd.domain import condemnation, success
from refreshd.domain import policy as rules
from refreshd.domain.credential import FIRST_FAILURES, Credential, laned
from refreshd.domain.events import (
    RefreshDeferred,
    RefreshMisconfigured,
    RefreshUncertain,
)
from refreshd.domain.outcome import (
    UNCERTAIN,
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
            return success.refreshed(seen, outcome, access, policy, sent_at=sent_at, now=now, draw=draw)
        case Refreshed(refresh_token=None):  # nothing came that was not known before
            nothing = Uncertain(code=outcome.code)
            return _decide(before, nothing, policy, sent_at=sent_at, now=now, draw=draw, storm=storm)
        case Refreshed():
            return success.refresh_token_only(seen, outcome, policy, sent_at=sent_at, now=now, draw=draw)
        case Deferred():
            return _deferred(seen, outcome, policy, now=now, draw=draw, unanswered=before.last_outcome == UNCERTAIN)
        case Uncertain():
            return _uncertain(seen, outcome, policy, now=now, draw=draw)
        case Rejected():
            return condemnation.refused(seen, outcome, now=now, draw=draw, storm=storm)
        case Misconfigured():
            return _misconfigured(seen, outcome, now=now)
        case _:
            assert_never(outcome)


def _deferred(
    seen: Credential, outcome: Deferred, policy: RefreshPolicy, *, now: datetime, draw: float, unanswered: bool
) -> Transition:
    """`unanswered`: the request before this one, so that a grace is running."""
    wait = rules.backoff(seen.failures, now=now, expires_at=seen.expires_at, draw=draw)
    if seen.in_doubt and not policy.settle_delay and (seen.failures <= FIRST_FAILURES or unanswered):
        wait = rules.BACKOFF_FLOOR
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
        wait = rules.backoff(seen.failures, now=now, expires_at=seen.expires_at, draw=draw, cap=policy.doubt_cap)
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
