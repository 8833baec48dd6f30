"""Tokens that arrived when their attempt no longer owned the row: put aside, and taken up when the stored one is refused (R5)."""

from dataclasses import dataclass
from datetime import datetime

from refreshd.domain.credential import AccessToken
from refreshd.domain.outcome import GrantedAccess, Refreshed
from refreshd.domain.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuedToken:
    """One answer put aside. It belongs to the family that its row still has."""

    id: int
    refresh_token: Secret
    access: AccessToken | None
    scope: str
    rescued_at: datetime


def as_answer(rescued: RescuedToken, *, now: datetime) -> tuple[Refreshed, datetime]:
    """The answer as if it came now, and when its request was sent; an access token that has expired meanwhile is left out."""
    access, sent_at = rescued.access, rescued.rescued_at
    granted = None
    if access is not None and access.expires_at is not None and access.expires_at > now:
        sent_at = access.issued_at
        lifetime = access.expires_at - access.issued_at
        granted = GrantedAccess(value=access.value, token_type=access.token_type, expires_in=lifetime)
    answer = Refreshed(
        access=granted, refresh_token=rescued.refresh_token, scope=rescued.scope or None, code="rescued_token"
    )
    return answer, sent_at
