"""What a refusal makes of a credential: confirmed before it is believed, and never believed in a storm (protocol R10)."""

from dataclasses import replace
from datetime import datetime

from refreshd.domain import policy as rules
from refreshd.domain.credential import Credential, Health, Reason, laned
from refreshd.domain.events import HealingFailed, RefreshRejected, ReloginRequired, StreamEvent
from refreshd.domain.outcome import Confirmation, Rejected
from refreshd.domain.token_response import SLOW_REJECTIONS
from refreshd.domain.transition import Transition

_REASONS = {
    "access_denied": Reason.LOGIN_REFUSED,
    "login_required": Reason.LOGIN_REFUSED,
    "consent_required": Reason.LOGIN_REFUSED,
    "invalid_scope": Reason.SCOPE_REFUSED,
    "scope_not_granted": Reason.SCOPE_REFUSED,
}


def refused(seen: Credential, outcome: Rejected, *, now: datetime, draw: float, storm: bool) -> Transition:
    """One refusal more: asked again, believed, or in a `storm` not believed."""
    if seen.health is Health.RELOGIN_REQUIRED:
        return _still_condemned(seen, outcome, now=now)
    since = seen.first_rejected_at if _repeats(seen, outcome) else None
    counted = replace(
        seen,
        rejections=seen.rejections + 1 if since else 1,
        rejected_code=outcome.code,
        first_rejected_at=since or now,
    )
    enough = would_condemn(seen, outcome, now=now)
    if enough and not storm:
        return _condemned(counted, outcome, now=now)
    wait = rules.confirmation_wait(outcome.confirmation, counted.rejections, draw=draw)
    if enough:
        wait = rules.storm_wait(counted.rejections, draw=draw)
    after = laned(replace(counted, next_attempt_at=now + wait))
    event = RefreshRejected(
        id=after.id,
        client=after.client,
        generation=after.generation,
        code=outcome.code,
        rejections=after.rejections,
        next_attempt_at=after.next_attempt_at,
        storm=enough,
        detail=outcome.detail,
    )
    return Transition(after=after, event=event)


def would_condemn(before: Credential, outcome: Rejected, *, now: datetime) -> bool:
    """Whether this refusal is enough to call a person, if no storm says otherwise."""
    if before.health is Health.RELOGIN_REQUIRED:
        return False
    since = before.first_rejected_at if _repeats(before, outcome) else None
    return rules.is_condemned(
        outcome.confirmation,
        before.rejections + 1 if since else 1,
        first_rejected_at=since or now,
        expires_at=before.expires_at,
        now=now,
    )


def _condemned(counted: Credential, outcome: Rejected, *, now: datetime) -> Transition:
    reason = Reason.ROTATION_LOST if counted.in_doubt else _reason(outcome)
    after = laned(
        replace(
            counted,
            health=Health.RELOGIN_REQUIRED,
            reason=reason,
            in_doubt=False,
            condemned_at=now,
            issued_at=None,
            expires_at=None,
            refresh_at=None,
            next_attempt_at=rules.healing_at(now, now),
        )
    )
    event = ReloginRequired(
        id=after.id,
        client=after.client,
        generation=after.generation,
        code=outcome.code,
        reason=reason,
        next_attempt_at=after.next_attempt_at,
        detail=outcome.detail,
    )
    return Transition(
        after=after,
        event=event,
        withdraw_access=True,
        visible=True,
        stream=(StreamEvent.RELOGIN_REQUIRED,),
    )


def _still_condemned(seen: Credential, outcome: Rejected, *, now: datetime) -> Transition:
    after = laned(
        replace(
            seen,
            in_doubt=False,
            next_attempt_at=rules.healing_at(seen.condemned_at or now, now),
        )
    )
    event = HealingFailed(
        id=after.id,
        client=after.client,
        generation=after.generation,
        code=outcome.code,
        next_attempt_at=after.next_attempt_at,
    )
    return Transition(after=after, event=event, visible=seen.in_doubt)


def _reason(outcome: Rejected) -> Reason:
    if outcome.confirmation is Confirmation.SLOWEST:
        return Reason.UNEXPLAINED_REFUSAL
    return _REASONS.get(outcome.code, Reason.REFUSED)


def _repeats(seen: Credential, outcome: Rejected) -> bool:
    """Whether this refusal goes on counting: the same code, or another name for as much certainty."""
    code = seen.rejected_code or ""
    if code == outcome.code:
        return True
    if code == "unknown_error" or code.startswith("http_"):
        return outcome.confirmation is Confirmation.SLOWEST
    return outcome.confirmation is (Confirmation.SLOW if code in SLOW_REJECTIONS else Confirmation.FAST)
