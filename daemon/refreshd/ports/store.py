"""Where credentials live. Every method is one short transaction; all raise `StoreUnavailable` when it cannot be made."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from refreshd.domain.credential import AttemptId, ClientName, Credential, CredentialId
from refreshd.domain.events import CredentialHeld, ReloginSoon
from refreshd.domain.figures import Figures
from refreshd.domain.requests import RefreshRequest, RequestLimits, Standings
from refreshd.domain.rescue import RescuedToken
from refreshd.domain.secret import Secret
from refreshd.domain.storm import Refusals
from refreshd.domain.transition import Transition
from refreshd.ports.publisher import Counters, Snapshot


class StoreUnavailable(Exception):  # noqa: N818 - reads as what it says
    """The store cannot be reached, is full, locked or read-only. The text is fit for a log.

    `kept`: the answer that could not be committed is safe beside the store, and will be brought into it after a restart, too.
    """

    def __init__(self, text: str, *, kept: bool = False) -> None:
        super().__init__(text)
        self.kept = kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A committed intent to present `refresh_token` once, and the right to do so until `lease_until`.

    None: there is no login, the client asks for itself.
    """

    id: AttemptId
    owner: str
    credential: Credential
    refresh_token: Secret | None
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
    """What one client may start now, and how long each attempt may own its row.

    `probe`: its one request tests a suspended client, with the row whose access token expires soonest. `retries`: how many of
    them may be repetitions while first attempts wait. `horizon`: the longest that a living access token can have been due.
    `machine`: its rows need no refresh token, the client asks for itself.
    """

    count: int
    lease: timedelta
    probe: bool = False
    retries: int = 1
    horizon: timedelta = timedelta(minutes=10)
    machine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The answer is stored, and the attempt closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """The attempt no longer owns its row.

    `earlier_login`: a person logged in meanwhile, or the row is gone. `rescued`: its refresh token was put aside (protocol R5).
    `revoking`: the row was removed to be revoked, and so is what this answer brought.
    """

    earlier_login: bool
    rescued: bool = False
    revoking: bool = False


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

    async def hold(self, attempt: Attempt, found: Counters, *, now: datetime) -> CredentialHeld | None:
        """Set a credential aside whose published counters are ahead of ours (protocol R11); they become the row's.

        None: the attempt no longer owns its row.
        """
        ...

    async def overtake(
        self, found: Mapping[CredentialId, Counters], *, since: datetime | None, now: datetime
    ) -> Sequence[CredentialHeld]:
        """Go on above published counters that are ahead of ours, but hold what was not refreshed `since` then (protocol R11).

        None: hold nothing, as they are another store's.
        """
        ...

    async def rescued(self, attempt: Attempt) -> RescuedToken | None:
        """The newest token of this credential's family that was put aside and can be opened (protocol R5)."""
        ...

    async def refusals(self, client: ClientName, *, now: datetime) -> Refusals:
        """What a grant storm is judged by."""
        ...

    async def begin_storm(self, client: ClientName, *, now: datetime) -> bool:
        """Record that a grant storm began; False when one is under way already."""
        ...

    async def end_storm(self, client: ClientName, *, counts_from: datetime, now: datetime, anew: bool) -> bool:
        """End the client's grant storm, if there is one, and make its refused credentials due. Refusals count from then on.

        `anew`: earlier ones are forgotten, so that each is confirmed again before it is believed.
        """
        ...

    async def storms(self) -> frozenset[ClientName]:
        """Clients with a grant storm under way."""
        ...

    async def shift(self, by: timedelta, *, starting: bool = False) -> None:
        """Move every instant of the schedule: the wall clock jumped by that much (protocol R13).

        `starting`: but for when open attempts began, as `recover` comes next and counts what lies ahead as begun now.
        """
        ...

    async def touch(self, *, now: datetime) -> None:
        """Leave a sign of life, for the next start to compare its clock with."""
        ...

    async def may_take_keys(self, *, now: datetime) -> bool:
        """Whether an operator lately let us take over another store's keys in Redis, and that is not done yet."""
        ...

    async def keys_taken(self) -> None:
        """All counters are above those that were found: the permission is spent."""
        ...

    async def lift(self, found: Mapping[CredentialId, Counters], *, now: datetime) -> None:
        """Raise counters above what other rows of the same ids had published."""
        ...

    async def unpublished(self, *, limit: int, but: Collection[CredentialId] = ()) -> Sequence[Snapshot]:
        """Rows whose revision Redis has not seen, the newest first: what is refreshed must not wait behind an import.

        `but`: those that are just being marked; what has changed about them since has its turn afterwards.
        """
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

    async def standings(self, ids: Collection[CredentialId]) -> Standings:
        """What the requests for these are judged by."""
        ...

    async def take_request(self, request: RefreshRequest, *, limits: RequestLimits, now: datetime) -> bool:
        """Let it be refreshed at once if its generation, its state and both limits still allow that."""
        ...

    async def figures(self, *, now: datetime) -> Figures:
        """Count. On a read connection, never on the commit thread."""
        ...

    async def keep_metadata(self, issuer: str, document: str, *, now: datetime) -> None:
        """What a provider publishes about itself, for a start without it."""
        ...

    async def forget_removed(self, *, before: datetime) -> int:
        """Delete rows removed before then that Redis has confirmed."""
        ...

    async def forget_history(self, *, after: CredentialId | None, limit: int, before: datetime) -> CredentialId | None:
        """Delete what the next `limit` credentials did before then; the last of them, None at the end of the round."""
        ...
