"""What happened to what is known of a provider."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from refreshd.domain.credential import ClientName


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataRead:
    """A client's provider published something new about itself, or for the first time."""

    name: ClassVar[str] = "provider.metadata_read"
    level: ClassVar[str] = "info"
    client: ClientName
    issuer: str
    token_endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataKept:
    """It could not be read again, or must not be believed: what was read before goes on."""

    name: ClassVar[str] = "provider.metadata_kept"
    level: ClassVar[str] = "warning"
    client: ClientName
    issuer: str
    code: str
    next_attempt_at: datetime
    detail: str = ""
