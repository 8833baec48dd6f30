"""What happened to the daemon itself, its store, its clock and Redis."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.figures import Figures


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
class EvictionPossible:
    """A full Redis may drop tokens that have not expired: its `maxmemory-policy` is not `noeviction`."""

    name: ClassVar[str] = "redis.may_evict"
    level: ClassVar[str] = "warning"
    policy: str


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
