"""What happened, for logs, metrics and later notifications. Each class is one constant event name with its data.

`name` and `level` are the log's; a field that holds a secret does not exist here.
"""

from refreshd.domain.events.client import (
    ClientResumed,
    ClientSuspended,
    ClientThrottled,
    GrantStormBegan,
    GrantStormEnded,
    InFlightChanged,
    LimitTooLow,
    MarginShrunk,
    RequestFinished,
    SlidingProven,
    SlowStart,
    StormsCounted,
)
from refreshd.domain.events.credential import (
    AnswerDropped,
    AttemptReleased,
    CredentialHeld,
    CredentialRefreshed,
    EarlierLoginDropped,
    HealingFailed,
    RefreshDeferred,
    RefreshMisconfigured,
    RefreshRejected,
    RefreshTokenOnly,
    RefreshUncertain,
    ReloginRequired,
    ReloginSoon,
    RescuedTokenAdopted,
    StreamEvent,
    TokenRescued,
)
from refreshd.domain.events.daemon import (
    ClockStepped,
    DaemonDraining,
    DaemonReady,
    DaemonStarted,
    DaemonStopped,
    DoubtsFound,
    EvictionPossible,
    FiguresTaken,
    ForeignKeys,
    PublishedBatch,
    PublisherLost,
    RepublishStarted,
    ResponsesUnpersisted,
    RevisionAhead,
    ScanFinished,
    StoreFailed,
    TaskCrashed,
    TickMissed,
)
from refreshd.domain.events.keys import (
    HoldsReleased,
    KeyRingRefused,
    KeyRowsCounted,
    KeysMissing,
    KeyTakenUp,
    KeyWaits,
    MissingKeysCounted,
    RowsResealed,
    RowsUnreadable,
)
from refreshd.domain.events.provider import MetadataKept, MetadataRead
from refreshd.domain.events.replicas import AnswersRestored, ReplicasCounted
from refreshd.domain.events.requests import RefreshRequested, RequestsLost
from refreshd.domain.events.revocation import (
    CredentialRevoked,
    LateTokenToRevoke,
    RevocationDeferred,
    RevocationFailed,
    RevocationsCounted,
)

Event = (
    MetadataKept
    | MetadataRead
    | CredentialRefreshed
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
    | RefreshRequested
    | RequestsLost
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
    | EvictionPossible
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
    | KeyRingRefused
    | KeyRowsCounted
    | KeyTakenUp
    | KeyWaits
    | KeysMissing
    | MissingKeysCounted
    | HoldsReleased
    | RowsResealed
    | RowsUnreadable
    | CredentialRevoked
    | LateTokenToRevoke
    | RevocationDeferred
    | RevocationFailed
    | RevocationsCounted
    | AnswersRestored
    | ReplicasCounted
)

__all__ = [
    "AnswerDropped",
    "AnswersRestored",
    "AttemptReleased",
    "ClientResumed",
    "ClientSuspended",
    "ClientThrottled",
    "ClockStepped",
    "CredentialHeld",
    "CredentialRefreshed",
    "CredentialRevoked",
    "DaemonDraining",
    "DaemonReady",
    "DaemonStarted",
    "DaemonStopped",
    "DoubtsFound",
    "EarlierLoginDropped",
    "Event",
    "EvictionPossible",
    "FiguresTaken",
    "ForeignKeys",
    "GrantStormBegan",
    "GrantStormEnded",
    "HealingFailed",
    "HoldsReleased",
    "InFlightChanged",
    "KeyRingRefused",
    "KeyRowsCounted",
    "KeyTakenUp",
    "KeyWaits",
    "KeysMissing",
    "LateTokenToRevoke",
    "LimitTooLow",
    "MarginShrunk",
    "MetadataKept",
    "MetadataRead",
    "MissingKeysCounted",
    "PublishedBatch",
    "PublisherLost",
    "RefreshDeferred",
    "RefreshMisconfigured",
    "RefreshRejected",
    "RefreshRequested",
    "RefreshTokenOnly",
    "RefreshUncertain",
    "ReloginRequired",
    "ReloginSoon",
    "ReplicasCounted",
    "RepublishStarted",
    "RequestFinished",
    "RequestsLost",
    "RescuedTokenAdopted",
    "ResponsesUnpersisted",
    "RevisionAhead",
    "RevocationDeferred",
    "RevocationFailed",
    "RevocationsCounted",
    "RowsResealed",
    "RowsUnreadable",
    "ScanFinished",
    "SlidingProven",
    "SlowStart",
    "StoreFailed",
    "StormsCounted",
    "StreamEvent",
    "TaskCrashed",
    "TickMissed",
    "TokenRescued",
]
