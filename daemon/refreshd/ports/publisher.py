"""The place where other processes read current tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from refreshd.domain.credential import AccessToken, ClientName, CredentialId, Reason, Status
from refreshd.domain.events import StreamEvent


class PublisherUnavailable(Exception):  # noqa: N818 - reads as what it says
    """The publisher cannot be reached or refuses writes; nothing is known of the batch, and it may be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that the world is shown of one credential, as of one revision. `access` is None when nothing may be shown.

    `relogin_since` dates a credential that already needs a person. `events` wait for the stream.
    """

    id: CredentialId
    client: ClientName
    status: Status
    reason: Reason | None
    generation: int
    revision: int
    in_doubt: bool
    relogin_soon: bool
    relogin_by: datetime | None
    relogin_since: datetime | None
    next_refresh_at: datetime | None
    scope: str
    access: AccessToken | None
    updated_at: datetime
    events: tuple[StreamEvent, ...] = ()

    @property
    def withdrawn(self) -> bool:
        """Whether the token is taken back: paused, removed, or dead."""
        return self.status in (Status.PAUSED, Status.REMOVED, Status.RELOGIN_REQUIRED)


class Published(StrEnum):
    """What became of one snapshot: a newer, the same or an older revision than what is there; or refused for itself alone."""

    WRITTEN = "written"
    SAME = "same"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What `meta` said. `known`: it was ours; `found_store`: another store that it named.

    `written` False: those keys were left alone. `servers`: as in `Standing`. `evicting`: the policy by which the keys may be
    dropped, "" if they may not or nobody knows.
    """

    known: bool
    found_store: str | None = None
    written: bool = True
    servers: str = ""
    evicting: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether `meta` is still ours, and which server processes hold the keys: another text once one was replaced or restarted.

    `servers` is "" where they may not be asked.
    """

    intact: bool
    servers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What is published of one credential, and since when."""

    generation: int
    revision: int
    updated_at: datetime | None = None


def newer(status: Counters | None, token: Counters | None) -> Counters | None:
    """Of two keys of one credential, of which one may be lost or late: the newest of each."""
    if status is None or token is None:
        return status or token
    return Counters(
        generation=max(status.generation, token.generation),
        revision=max(status.revision, token.revision),
        updated_at=status.updated_at,
    )


class Publisher(Protocol):
    async def announce(self, *, take: bool = False) -> Announced:
        """Write whose keys these are (PREFIX:meta); another store's only to `take` them over. Raises `PublisherUnavailable`."""
        ...

    async def published(self, ids: Sequence[CredentialId]) -> Mapping[CredentialId, Counters]:
        """What stands there of those that have anything; nothing when the keys are not ours. Raises `PublisherUnavailable`."""
        ...

    async def look(self) -> Standing:
        """Whether what was announced still holds. Raises `PublisherUnavailable`."""
        ...

    async def publish(
        self, snapshots: Sequence[Snapshot], *, now: datetime | None = None, taking: bool = False
    ) -> Sequence[Published]:
        """Compare-and-set each on revision and generation; one result for each, in order. Raises `PublisherUnavailable`.

        Never over a newer generation: the revision of a restored store may be higher although its tokens are older.
        `taking`: over any, as the keys are another store's that an operator lets us take.
        `now`: by the clock that the snapshots' instants go by, if that is not the publisher's own.
        """
        ...
