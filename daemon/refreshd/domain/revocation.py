"""Revoking a refresh token at its provider (RFC 7009): what an answer means, and when to ask again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from refreshd.domain.outcome import Deferred, Misconfigured, Rejected, Uncertain
from refreshd.domain.policy import backoff
from refreshd.domain.token_response import MAX_RETRY_AFTER, Answer, read_answer

GIVE_UP_AFTER = timedelta(hours=24)
DEAD_ALREADY = frozenset({"invalid_grant", "invalid_token", "token_inactive", "token_expired"})
UNSUPPORTED = "unsupported_token_type"  # the one error that only this endpoint has (RFC 7009 §2.2.1)
MENDABLE = frozenset({"invalid_client", "unauthorized_client", "certificate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """The token is dead, by this request or before it: the standard asks for 200 in both cases (RFC 7009 §2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRevokedYet:
    """Nothing is known, or the reason may pass. Asking again does no harm: a revoked token stays revoked."""

    code: str
    retry_after: timedelta | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRevocable:
    """This provider will not revoke this token, however often it is asked."""

    code: str
    detail: str = ""


RevocationOutcome = Revoked | NotRevokedYet | NotRevocable


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAgain:
    """Put off until `at`."""

    code: str
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The login may live on at the provider: an operator is told."""

    code: str
    detail: str = ""


def read_revocation_answer(answer: Answer, *, now: datetime, rejection_codes: frozenset[str]) -> RevocationOutcome:
    """Errors are those of the token endpoint (RFC 7009 §2.2.1), so they are read alike; any other 2xx says done.

    A provider that names the token dead already has what we want. A client that is refused may be mended within the day.
    """
    match read_answer(answer, now=now, rejection_codes=rejection_codes):
        case Deferred() as busy:
            return NotRevokedYet(code=busy.code, retry_after=busy.retry_after, detail=busy.detail)
        case Rejected(code=code) if code in DEAD_ALREADY | rejection_codes:
            return Revoked()
        case Misconfigured(code=code, detail=detail) if code in MENDABLE:
            return NotRevokedYet(code=code, detail=detail)
        case Rejected(code=code, detail=detail) | Misconfigured(code=code, detail=detail):
            return NotRevocable(code=UNSUPPORTED if detail.startswith(UNSUPPORTED) else code, detail=detail)
        case Uncertain(code=code, detail=detail) if detail:  # an error, whatever the status says
            return NotRevokedYet(code=code, detail=detail)
        case unclear:
            done = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
            return Revoked() if done else NotRevokedYet(code=unclear.code)


def next_step(
    outcome: RevocationOutcome, *, asked_at: datetime, failures: int, now: datetime, draw: float
) -> Revoked | AskAgain | GiveUp:
    """What to do after this answer; `asked_at` is when the revocation was asked for."""
    match outcome:
        case NotRevocable(code=code, detail=detail):
            return GiveUp(code=code, detail=detail)
        case NotRevokedYet(code=code, detail=detail):
            if now - asked_at >= GIVE_UP_AFTER:
                return GiveUp(code=code, detail=detail)
            wait = backoff(failures, now=now, expires_at=None, draw=draw)
            if outcome.retry_after is not None:
                wait = max(wait, min(outcome.retry_after, MAX_RETRY_AFTER))
            return AskAgain(code=code, at=now + wait, detail=detail)
        case Revoked():
            return outcome
