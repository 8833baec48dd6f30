"""What happened to requests of consumers."""

from dataclasses import dataclass
from typing import ClassVar

from refreshd.domain.requests import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRequested:
    """How often the same was asked for, with the same end. Malformed entries have no id, as it is nothing to repeat."""

    name: ClassVar[str] = "credential.refresh_requested"
    level: ClassVar[str] = "debug"
    verdict: Verdict
    count: int
    id: str = ""
    generation: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsLost:
    """Redis cannot be asked for requests, or refuses to tell. Once an outage."""

    name: ClassVar[str] = "redis.requests_unavailable"
    level: ClassVar[str] = "warning"
    error: str
