"""Where a new login is kept, seen from the command that makes it. Every method is one short transaction.

All raise `StoreUnavailable` when it cannot be made.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from refreshd.domain.credential import ClientName, CredentialId, FamilyId
from refreshd.domain.grant import Grant
from refreshd.domain.login import Fate, Finish, TokenOwned


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A login whose tokens are safe but whose account was not checked yet."""

    family: FamilyId
    grant: Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is stored under an id. `client` None: nothing. `aside`: what an interrupted login left."""

    client: ClientName | None = None
    account: str | None = None
    paused: bool = False
    aside: Aside | None = None


class Logins(Protocol):
    async def prepare(self, credential_id: CredentialId, *, now: datetime) -> Standing:
        """Look, and prove by a durable write that an answer could be kept."""
        ...

    async def take_over(self, grant: Grant, *, now: datetime) -> FamilyId | TokenOwned:
        """Make it the credential's login: a new family, flags cleared, the generation goes on (protocol R14).

        What was set aside for this id is gone then.
        """
        ...

    async def set_aside(self, grant: Grant, *, now: datetime) -> FamilyId | TokenOwned:
        """Keep its tokens, and leave the stored login as it is."""
        ...

    async def finish(self, aside: Aside, *, account: str | None, now: datetime) -> Finish | TokenOwned:
        """Make a login that was set aside the credential's, if it still is set aside; else write nothing.

        Whoever finished it before may have had its refresh token rotated: put back, it would be presented twice.
        """
        ...

    async def refuse(self, aside: Aside, *, account: str, revocable: bool, now: datetime) -> Fate | None:
        """Drop a login of `account` that was set aside. `revocable`: the daemon can have its refresh token revoked.

        None: it is not set aside any more, and nothing is done.
        """
        ...

    async def bind(self, credential_id: CredentialId, family: FamilyId, account: str) -> None:
        """Record whose account this login is, if it is still the credential's."""
        ...
