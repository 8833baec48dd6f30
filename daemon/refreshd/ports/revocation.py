"""Refresh tokens that wait to be revoked, and the endpoint that does it (RFC 7009)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from refreshd.domain.client import Client
from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.revocation import RevocationOutcome
from refreshd.domain.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One token that is to be revoked; None when no key opens it."""

    id: int
    credential_id: CredentialId
    client: ClientName
    token: Secret | None
    asked_at: datetime
    failures: int


class Revocations(Protocol):
    """All raise `StoreUnavailable`."""

    async def due(self, client: ClientName, *, now: datetime, limit: int) -> Sequence[Revocation]:
        """What may be sent now, longest due first."""
        ...

    async def orphans(self, clients: Sequence[ClientName], *, now: datetime, limit: int) -> Sequence[Revocation]:
        """What is due and belongs to none of these clients."""
        ...

    async def done(self, one: Revocation) -> None:
        """Forget it: the token is dead."""
        ...

    async def put_off(self, one: Revocation, *, code: str, until: datetime) -> None: ...

    async def give_up(self, one: Revocation, *, code: str, now: datetime) -> None:
        """Erase the token; that it was not revoked stays known for a while."""
        ...

    async def pending(self) -> Mapping[ClientName, int]:
        """How many wait, by client."""
        ...

    async def forget_given_up(self, *, before: datetime) -> None: ...


class RevocationEndpoint(Protocol):
    async def revoke(self, client: Client, refresh_token: Secret) -> RevocationOutcome:
        """One request within `client.request_timeout`. What a provider or a network can do is a returned value."""
        ...
