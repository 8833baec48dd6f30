"""What happened to one client: its requests, its provider's state, its limits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from refreshd.domain.credential import ClientName, CredentialId


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
