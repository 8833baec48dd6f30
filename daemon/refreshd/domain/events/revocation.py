"""What became of refresh tokens that were to be revoked at their provider (RFC 7009)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from refreshd.domain.credential import ClientName, CredentialId


@dataclass(frozen=True, slots=True, kw_only=True)
class _AboutRevocation:
    id: CredentialId
    client: ClientName


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRevoked(_AboutRevocation):
    name: ClassVar[str] = "credential.revoked"
    level: ClassVar[str] = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationDeferred(_AboutRevocation):
    name: ClassVar[str] = "credential.revocation_deferred"
    level: ClassVar[str] = "warning"
    code: str
    failures: int
    next_attempt_at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationFailed(_AboutRevocation):
    """Given up: the login may live on at the provider."""

    name: ClassVar[str] = "credential.revocation_failed"
    level: ClassVar[str] = "warning"
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateTokenToRevoke(_AboutRevocation):
    """An answer that was under way when its credential was removed brought a new refresh token: that is revoked, too."""

    name: ClassVar[str] = "credential.late_token_to_revoke"
    level: ClassVar[str] = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationsCounted:
    name: ClassVar[str] = "revocations.counted"
    level: ClassVar[str] = "none"
    pending: Mapping[ClientName, int]
