"""What happened, for logs, metrics and later notifications. Each class is one constant event name with its data.

`name` and `level` are the log's; a field that holds a secret does not exist here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from refreshd.domain.credential import ClientName, CredentialId, Reason
from refreshd.domain.figures import Figures


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFinished:
    """One token request, whatever it came to; feeds `refreshes_total` and `refresh_duration_seconds`."""

    name: ClassVar[str] = "request.finished"
    level: ClassVar[str] = "debug"
    client: ClientName
    outcome: str
    duration: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlightChanged:
    name: ClassVar[str] = "client.in_flight"
    level: ClassVar[str] = "none"
    client: ClientName
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSuspended:
    name: ClassVar[str] = "client.suspended"
    level: ClassVar[str] = "error"
    client: ClientName
    cause: str
    probe_at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientResumed:
    name: ClassVar[str] = "client.resumed"
    level: ClassVar[str] = "info"
    client: ClientName
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientThrottled:
    name: ClassVar[str] = "client.throttled"
    level: ClassVar[str] = "warning"
    client: ClientName
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidingProven:
    """A refresh succeeded past the login's absolute deadline: this registration's refresh tokens slide."""

    name: ClassVar[str] = "client.sliding_lifetime_proven"
    level: ClassVar[str] = "info"
    client: ClientName
    id: CredentialId


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantStormBegan:
    """So many credentials of a client are refused at once that nobody is condemned: somebody must look (protocol R10)."""

    name: ClassVar[str] = "client.grant_storm"
    level: ClassVar[str] = "error"
    client: ClientName
    refused: int
    credentials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantStormEnded:
    """`cause`: a refused credential was refreshed, or the storm is a day old. An operator's end leaves no event."""

    name: ClassVar[str] = "client.grant_storm_ended"
    level: ClassVar[str] = "warning"
    client: ClientName
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StormsCounted:
    """Clients with a grant storm under way, as the store has it: an operator may have ended one."""

    name: ClassVar[str] = "client.grant_storms"
    level: ClassVar[str] = "none"
    clients: tuple[ClientName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStart:
    """After an outage, or a stop longer than an access token lives, a client begins at a tenth of its rate (protocol §4)."""

    name: ClassVar[str] = "client.slow_start"
    level: ClassVar[str] = "info"
    client: ClientName
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginShrunk:
    name: ClassVar[str] = "client.short_access_token_lifetime"
    level: ClassVar[str] = "warning"
    client: ClientName
    lifetime: timedelta
    refresh_before_expiry: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitTooLow:
    """More credentials come due per second than the client's `max_rate` lets through."""

    name: ClassVar[str] = "client.rate_limit_too_low"
    level: ClassVar[str] = "error"
    client: ClientName
    needed_per_second: float
    max_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed:
    name: ClassVar[str] = "store.unavailable"
    level: ClassVar[str] = "error"
    doing: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesUnpersisted:
    """How many answers wait in memory because the store refuses them (protocol R6)."""

    name: ClassVar[str] = "store.unpersisted_responses"
    level: ClassVar[str] = "error"
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtsFound:
    name: ClassVar[str] = "daemon.open_attempts_found"
    level: ClassVar[str] = "warning"
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFinished:
    name: ClassVar[str] = "scan.finished"
    level: ClassVar[str] = "none"
    at: datetime
    claimed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresTaken:
    name: ClassVar[str] = "store.figures_taken"
    level: ClassVar[str] = "none"
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class TickMissed:
    name: ClassVar[str] = "scan.tick_missed"
    level: ClassVar[str] = "warning"
    waited: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepped:
    """The wall clock jumped while we ran, or stands behind the store's last commit or a day ahead of it (protocol R13).

    `by`: how far, forward or back, as far as that is known. `schedule_moved`: stored instants were moved with it.
    """

    name: ClassVar[str] = "daemon.clock_stepped"
    level: ClassVar[str] = "error"
    by: timedelta
    now: datetime
    schedule_moved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherLost:
    name: ClassVar[str] = "redis.unavailable"
    level: ClassVar[str] = "error"
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepublishStarted:
    name: ClassVar[str] = "redis.republishing"
    level: ClassVar[str] = "info"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKeys:
    """Redis' `meta` names another store: nothing is published until that changes, or an operator adopts the keys (R11)."""

    name: ClassVar[str] = "redis.foreign_meta"
    level: ClassVar[str] = "error"
    found: str
    ours: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedBatch:
    """Counts of one pipeline; `lags` are seconds from commit to visible, for rows that were pending."""

    name: ClassVar[str] = "redis.published"
    level: ClassVar[str] = "none"
    written: int
    same: int
    stale: int
    failed: int
    lags: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionAhead:
    name: ClassVar[str] = "redis.revision_ahead_of_store"
    level: ClassVar[str] = "error"
    id: CredentialId
    client: ClientName
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStarted:
    name: ClassVar[str] = "daemon.started"
    level: ClassVar[str] = "info"
    version: str
    environment: str
    store_id: str
    instance: str
    clients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonReady:
    name: ClassVar[str] = "daemon.ready"
    level: ClassVar[str] = "info"
    listen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonDraining:
    name: ClassVar[str] = "daemon.draining"
    level: ClassVar[str] = "info"
    cause: str
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStopped:
    name: ClassVar[str] = "daemon.stopped"
    level: ClassVar[str] = "info"
    cause: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCrashed:
    """A bug of ours, named without its arguments; the row stays owned by its open attempt and is taken up as in doubt."""

    name: ClassVar[str] = "daemon.task_crashed"
    level: ClassVar[str] = "error"
    task: str
    error: str
    trace: str


Event = (
    CredentialRefreshed
    | RefreshTokenOnly
    | RefreshDeferred
    | RefreshUncertain
    | RefreshRejected
    | ReloginRequired
    | HealingFailed
    | RefreshMisconfigured
    | ReloginSoon
    | CredentialHeld
    | AnswerDropped
    | TokenRescued
    | RescuedTokenAdopted
    | EarlierLoginDropped
    | AttemptReleased
    | RequestFinished
    | InFlightChanged
    | ClientSuspended
    | ClientResumed
    | ClientThrottled
    | GrantStormBegan
    | GrantStormEnded
    | StormsCounted
    | SlowStart
    | SlidingProven
    | MarginShrunk
    | LimitTooLow
    | StoreFailed
    | ResponsesUnpersisted
    | DoubtsFound
    | ScanFinished
    | FiguresTaken
    | TickMissed
    | ClockStepped
    | PublisherLost
    | RepublishStarted
    | ForeignKeys
    | PublishedBatch
    | RevisionAhead
    | DaemonStarted
    | DaemonReady
    | DaemonDraining
    | DaemonStopped
    | TaskCrashed
)
