"""Where credentials live. Every method is one short transaction; all raise `StoreUnavailable` when it cannot be made."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from refreshd.domain.credential import AttemptId, ClientName, Credential, CredentialId
from refreshd.domain.events import CredentialHeld, ReloginSoon
from refreshd.domain.figures import Figures
from refreshd.domain.secret import Secret
from refreshd.domain.settle import Transition
from refreshd.ports.publisher import Snapshot


class StoreUnavailable(Exception):  # noqa: N818 - reads as what it says
    """The store cannot be reached, is full, locked or read-only. The text is fit for a log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A committed intent to present `refresh_token` once, and the right to do so until `lease_until`."""

    id: AttemptId
    owner: str
    credential: Credential
    refresh_token: Secret
    started_at: datetime
    lease_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a scan may start now.

    `held`: due rows whose refresh token could not be decrypted. `more`: clients of whom work may be left.
    """

    attempts: Sequence[Attempt]
    held: Sequence[CredentialHeld] = ()
    more: frozenset[ClientName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What one client may start now, and how long each attempt may own its row. `probe`: pick the soonest expiry."""

    count: int
    lease: timedelta
    probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """The attempt no longer owns its row. `earlier_login`: a person logged in meanwhile, or the row is gone."""

    earlier_login: bool


class Store(Protocol):
    async def recover(self, *, now: datetime, settle_delays: Mapping[ClientName, timedelta]) -> int:
        """Put every open attempt in doubt (protocol R7); only for the one process that owns the store. Returns how many."""
        ...

    async def claim_due(
        self,
        *,
        now: datetime,
        capacity: Mapping[ClientName, Capacity],
        total: int,
        holding: Collection[CredentialId],
    ) -> Claims:
        """Commit intents for at most `total` due rows, in order of work, leaving out what this process still holds."""
        ...

    async def commit(self, attempt: Attempt, transition: Transition, *, now: datetime) -> Committed | Conflict:
        """Compare-and-set on attempt id and generation. Commits that arrive together share one transaction."""
        ...

    async def release(self, attempt: Attempt) -> None:
        """Give back a claim of which nothing was sent."""
        ...

    async def unpublished(self, *, limit: int) -> Sequence[Snapshot]:
        """Rows whose revision Redis has not seen."""
        ...

    async def page(self, *, after: CredentialId | None, limit: int) -> Sequence[Snapshot]:
        """All rows that Redis shows, by id, for republication."""
        ...

    async def mark_published(self, snapshots: Sequence[Snapshot]) -> None:
        """Redis has these revisions; their events are spent."""
        ...

    async def warn_relogin(
        self, *, now: datetime, ladders: Mapping[ClientName, Sequence[timedelta]], limit: int
    ) -> Sequence[ReloginSoon]:
        """Step up every credential whose deadline came nearer than the next rung of its client's ladder."""
        ...

    async def prove_sliding(
        self, client: ClientName, *, lifetime: timedelta, ladder: Sequence[timedelta], now: datetime
    ) -> None:
        """Record that this client's refresh tokens count from the last rotation, and date all its credentials so."""
        ...

    async def figures(self, *, now: datetime) -> Figures:
        """Count. On a read connection, never on the commit thread."""
        ...

    async def forget_removed(self, *, before: datetime) -> int:
        """Delete rows removed before then that Redis has confirmed."""
        ...
