"""What happened to one credential; and the names under which the Redis stream tells it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from refreshd.domain.credential import ClientName, CredentialId, Reason


class StreamEvent(StrEnum):
    """Event types of the Redis stream (contract: PREFIX:events)."""

    REFRESHED = "refreshed"
    RELOGIN_SOON = "relogin_soon"
    RELOGIN_REQUIRED = "relogin_required"
    RECOVERED = "recovered"
    PAUSED = "paused"
    RESUMED = "resumed"
    REMOVED = "removed"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class _AboutCredential:
    id: CredentialId
    client: ClientName
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRefreshed(_AboutCredential):
    """`lead` is the life left in the old token when the new one was stored; below 0 is late, None: there was no token."""

    name: ClassVar[str] = "credential.refreshed"
    level: ClassVar[str] = "info"
    expires_at: datetime
    refresh_at: datetime | None
    lead: timedelta | None
    lifetime: timedelta
    recovered: bool = False
    doubt_resolved: bool = False
    anomalies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenOnly(_AboutCredential):
    """A refresh token was saved from an answer without a usable access token."""

    name: ClassVar[str] = "credential.refreshed_without_access_token"
    level: ClassVar[str] = "warning"
    code: str
    next_attempt_at: datetime | None
    anomalies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshDeferred(_AboutCredential):
    name: ClassVar[str] = "credential.refresh_deferred"
    level: ClassVar[str] = "warning"
    code: str
    failures: int
    next_attempt_at: datetime | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshUncertain(_AboutCredential):
    name: ClassVar[str] = "credential.refresh_uncertain"
    level: ClassVar[str] = "warning"
    code: str
    failures: int
    next_attempt_at: datetime | None
    shared: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRejected(_AboutCredential):
    """Refused, not yet believed: asked again at `next_attempt_at`."""

    name: ClassVar[str] = "credential.refresh_rejected"
    level: ClassVar[str] = "warning"
    code: str
    rejections: int
    next_attempt_at: datetime | None
    storm: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloginRequired(_AboutCredential):
    name: ClassVar[str] = "credential.relogin_required"
    level: ClassVar[str] = "error"
    code: str
    reason: Reason
    next_attempt_at: datetime | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealingFailed(_AboutCredential):
    """A condemned credential was tried once more, in vain."""

    name: ClassVar[str] = "credential.healing_failed"
    level: ClassVar[str] = "info"
    code: str
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshMisconfigured(_AboutCredential):
    name: ClassVar[str] = "credential.refresh_misconfigured"
    level: ClassVar[str] = "debug"
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloginSoon(_AboutCredential):
    name: ClassVar[str] = "credential.relogin_soon"
    level: ClassVar[str] = "warning"
    relogin_by: datetime
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialHeld(_AboutCredential):
    name: ClassVar[str] = "credential.held"
    level: ClassVar[str] = "error"
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerDropped(_AboutCredential):
    """An answer without a refresh token arrived for an attempt that no longer owns its row (protocol R5)."""

    name: ClassVar[str] = "credential.late_answer_dropped"
    level: ClassVar[str] = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRescued(_AboutCredential):
    """A refresh token arrived for an attempt that no longer owns its row: put aside, in case the stored one is dead (R5)."""

    name: ClassVar[str] = "credential.token_rescued"
    level: ClassVar[str] = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuedTokenAdopted(_AboutCredential):
    """The stored refresh token was refused, and one that had been put aside took its place."""

    name: ClassVar[str] = "credential.rescued_token_adopted"
    level: ClassVar[str] = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierLoginDropped(_AboutCredential):
    name: ClassVar[str] = "credential.answer_of_an_earlier_login_dropped"
    level: ClassVar[str] = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReleased(_AboutCredential):
    name: ClassVar[str] = "credential.attempt_released"
    level: ClassVar[str] = "debug"
    cause: str
