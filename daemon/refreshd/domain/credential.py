"""One stored grant: what is known about it between two refreshes. Tokens travel beside it, not in it."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import NewType

from refreshd.domain.secret import Secret

CredentialId = NewType("CredentialId", str)
ClientName = NewType("ClientName", str)
AttemptId = NewType("AttemptId", str)
FamilyId = NewType("FamilyId", str)

CREDENTIAL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:/-]{0,127}")


class Health(StrEnum):
    """What the machine knows of a credential; the operator's pause is kept apart from it."""

    ACTIVE = "active"
    RELOGIN_REQUIRED = "relogin_required"
    HELD = "held"


class Status(StrEnum):
    """What the world is told: health, unless the operator paused or removed it."""

    ACTIVE = "active"
    RELOGIN_REQUIRED = "relogin_required"
    PAUSED = "paused"
    HELD = "held"
    REMOVED = "removed"


class Reason(StrEnum):
    """Why a credential is not simply active. A closed list of ours, never a provider's text."""

    REFUSED = "refused"
    ROTATION_LOST = "rotation_lost"
    SCOPE_REFUSED = "scope_refused"
    LOGIN_REFUSED = "login_refused"
    UNEXPLAINED_REFUSAL = "unexplained_refusal"
    UNDECRYPTABLE = "undecryptable"
    STORE_BEHIND = "store_behind"
    UNKNOWN_CLIENT = "unknown_client"


class Lane(IntEnum):
    """Order of work (protocol §4): answers in doubt first, logins close to their end next, confirmations of a refusal last.

    `UNDATED`: no access token is known that could still be kept alive.
    """

    IN_DOUBT = 0
    ENDING = 1
    ORDINARY = 2
    UNDATED = 3
    RETRYING = 4
    CONFIRMING = 5


FIRST_FAILURES = 2
"""What has failed more often goes first no more: it takes its share with the other repetitions, or it would keep all others out."""
ENDING = timedelta(days=1)
"""A refresh token that ends within this time of its next use is refreshed before others: missed, it costs a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A published token. `expires_at` is None when nothing is known about its life."""

    value: Secret
    token_type: str
    issued_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The facts `settle` decides on. `generation` counts token changes of this credential."""

    id: CredentialId
    client: ClientName
    family: FamilyId
    scope: str
    generation: int
    login_at: datetime
    rotated_at: datetime
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    refresh_at: datetime | None = None
    next_attempt_at: datetime | None = None
    lane: Lane = Lane.ORDINARY
    health: Health = Health.ACTIVE
    reason: Reason | None = None
    in_doubt: bool = False
    failures: int = 0
    rejections: int = 0
    rejected_code: str | None = None
    first_rejected_at: datetime | None = None
    condemned_at: datetime | None = None
    relogin_by: datetime | None = None
    relogin_step: int = 0
    last_outcome: str | None = None
    last_code: str | None = None
    attempted_at: datetime | None = None


_SCHEDULE = (
    "issued_at",
    "expires_at",
    "refresh_at",
    "next_attempt_at",
    "first_rejected_at",
    "condemned_at",
    "attempted_at",
)
"""The instants that move with a wall clock that jumped back; dates that people know stay (docs/decisions/0006)."""


def moved(credential: Credential, by: timedelta) -> Credential:
    """The same on a schedule that was moved by that much."""
    if not by:
        return credential
    instants = {name: at + by for name in _SCHEDULE if (at := getattr(credential, name)) is not None}
    return replace(credential, **instants)


def lane_of(credential: Credential) -> Lane:
    """Where it stands in the order of work."""
    if credential.rejections:
        return Lane.CONFIRMING
    if credential.failures <= FIRST_FAILURES:
        if credential.in_doubt:
            return Lane.IN_DOUBT
        if is_ending(credential.relogin_by, credential.next_attempt_at):
            return Lane.ENDING
    if credential.failures:
        return Lane.RETRYING
    return Lane.ORDINARY if credential.expires_at else Lane.UNDATED


def laned(credential: Credential) -> Credential:
    """The same in its place in the order of work."""
    lane = lane_of(credential)
    return credential if credential.lane is lane else replace(credential, lane=lane)


def is_ending(relogin_by: datetime | None, next_attempt_at: datetime | None) -> bool:
    """Whether little of the refresh token's life is left at its next use."""
    return relogin_by is not None and next_attempt_at is not None and relogin_by - next_attempt_at <= ENDING
