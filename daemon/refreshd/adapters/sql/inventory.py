"""What the commands do to the store beside a running daemon. They write; the daemon, looking every second, acts.

Pause, resume and refresh never touch attempt, generation or tokens (protocol R14).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)

from refreshd.adapters.sql import history, holds, rescue, revocations, statements, storms
from refreshd.adapters.sql.deadlines import proven_sliding
from refreshd.adapters.sql.history import Entry
from refreshd.adapters.sql.rows import RowCodec, encode_events, status_of
from refreshd.adapters.sql.schema import Instant, attempt_log, credential, fingerprint, store
from refreshd.domain.client import GrantType
from refreshd.domain.credential import AccessToken, ClientName, Health, Status
from refreshd.domain.events import StreamEvent
from refreshd.domain.storm import LONGEST

c = credential.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One credential, or all of a client."""

    id: str | None = None
    client: str | None = None

    @property
    def where(self) -> ColumnElement[bool]:
        chosen = c.id == self.id if self.id is not None else c.client == self.client
        return and_(chosen, c.removed_at.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One row as a person may see it: no token in it."""

    id: str
    client: str
    account: str | None
    status: str
    reason: str | None
    in_doubt: bool
    relogin_soon: bool
    relogin_by: datetime | None
    expires_at: datetime | None
    next_attempt_at: datetime | None
    refresh_at: datetime | None
    attempt_started_at: datetime | None
    scope: str
    generation: int
    revision: int
    published_revision: int
    failures: int
    rejections: int
    last_outcome: str | None
    last_code: str | None
    attempted_at: datetime | None
    login_at: datetime
    rotated_at: datetime
    created_at: datetime
    lifetime_proven_sliding: bool
    grant: str


class Inventory:
    """Short synchronous transactions; raise what SQLAlchemy raises."""

    def __init__(self, read: Engine, write: Engine, codec: RowCodec) -> None:
        self._read = read
        self._write = write
        self._codec = codec

    def views(
        self, *, client: str | None = None, status: str | None = None, after: str = "", limit: int = 1000
    ) -> Sequence[View]:
        """A page by id, for listing any number of rows in bounded memory."""
        conditions = [c.removed_at.is_(None), c.id > after]
        if client is not None:
            conditions.append(c.client == client)
        if status is not None:
            paused = status == Status.PAUSED
            conditions += [c.paused == int(paused)] if paused else [c.paused == 0, c.health == status]
        query = select(credential).where(*conditions).order_by(c.id).limit(limit)
        with self._read.begin() as connection:
            proven = proven_sliding(connection)
            return [_view(row, proven) for row in connection.execute(query).mappings()]

    def view(self, credential_id: str) -> View | None:
        query = select(credential).where(Selection(id=credential_id).where)
        with self._read.begin() as connection:
            row = connection.execute(query).mappings().first()
            proven = proven_sliding(connection)
        return _view(row, proven) if row else None

    def access_token(self, credential_id: str) -> AccessToken | None:
        """The current access token of an active credential."""
        query = select(credential).where(Selection(id=credential_id).where, c.paused == 0)
        with self._read.begin() as connection:
            row = connection.execute(query).mappings().first()
        return self._codec.access(row) if row else None

    def mark_due(self, credential_id: str, *, now: datetime) -> bool:
        """Let it be refreshed at the next tick; False when its state does not allow that.

        A row in doubt or being confirmed keeps its own time: asking early is what those waits protect from. While a request
        is under way, `next_attempt_at` is its lease.
        """
        free = and_(c.attempt_id.is_(None), c.in_doubt == 0, or_(c.rejections == 0, c.health != Health.ACTIVE.value))
        statement = (
            update(credential)
            .where(Selection(id=credential_id).where, c.paused == 0, c.health != Health.HELD.value, free)
            .values(next_attempt_at=case((c.next_attempt_at < now, c.next_attempt_at), else_=literal(now, Instant)))
        )
        with self._write.begin() as connection:
            return connection.execute(statement).rowcount == 1

    def pause(self, selection: Selection, *, now: datetime) -> int:
        return self._switch(selection, c.paused == 0, {"paused": 1}, StreamEvent.PAUSED, now)

    def resume(self, selection: Selection, *, now: datetime) -> int:
        return self._switch(selection, c.paused == 1, {"paused": 0}, StreamEvent.RESUMED, now)

    def adopt(self, selection: Selection | None, *, now: datetime) -> int:
        """End a hold: the row is due at once with the refresh token it has. None: every credential that is held."""
        where = c.removed_at.is_(None) if selection is None else selection.where
        statement = holds.freed(now).where(where, c.health == Health.HELD.value)
        with self._write.begin() as connection:
            _lock(connection, where, c.health == Health.HELD.value)
            return connection.execute(statement).rowcount

    def adopt_keys(self, *, now: datetime) -> None:
        """Let the daemon take over keys in Redis that are another store's, once (protocol R11)."""
        with self._write.begin() as connection:
            connection.execute(update(store).values(keys_adopted_at=now))

    def end_storm(self, client: str, *, now: datetime) -> bool:
        """Believe this client's refusals from now on, for a day at least; False when no storm is under way."""
        with self._write.begin() as connection:
            return storms.end(connection, ClientName(client), now + LONGEST, now)

    def storms(self) -> frozenset[ClientName]:
        """Clients with a grant storm under way."""
        with self._read.begin() as connection:
            return storms.under_way(connection)

    def history(self, credential_id: str) -> Sequence[Entry]:
        """The attempts of the last 90 days, newest first."""
        with self._read.begin() as connection:
            return history.read(connection, credential_id)

    def remove(self, selection: Selection, *, now: datetime) -> int:
        """Erase tokens and fingerprints. The counters stay until Redis has confirmed, so that a stale writer still loses."""
        with self._write.begin() as connection:
            return _remove(connection, selection, now)

    def remove_to_revoke(self, selection: Selection, *, now: datetime) -> tuple[int, int]:
        """The same, and have the daemon revoke the refresh tokens: how many credentials, and how many tokens.

        One transaction: what is removed here is sure to be revoked. Raises `StoreRefused` when a token cannot be read.
        """
        with self._write.begin() as connection:
            queued = revocations.enqueue_chosen(connection, self._codec, selection.where, now=now)
            return _remove(connection, selection, now), queued

    def unrevoked(self, *, asked_at: datetime) -> tuple[int, list[str]]:
        """Of what was to be revoked: how many still wait, and why others were given up."""
        return revocations.left(self._read, asked_at=asked_at)

    def clients_of(self, selection: Selection) -> frozenset[str]:
        """Whose credentials these are."""
        with self._read.begin() as connection:
            return frozenset(connection.scalars(select(c.client).where(selection.where).distinct()).all())

    def count(self, *, client: str | None = None) -> int:
        query = select(func.count()).select_from(credential).where(c.removed_at.is_(None))
        with self._read.begin() as connection:
            return connection.scalar(query.where(c.client == client) if client else query) or 0

    def clients(self) -> dict[str, int]:
        """Credentials by client, configured or not."""
        query = select(c.client, func.count()).where(c.removed_at.is_(None)).group_by(c.client)
        with self._read.begin() as connection:
            return {name: number for name, number in connection.execute(query)}  # noqa: C416 - rows, not pairs

    def proven_sliding(self) -> frozenset[ClientName]:
        """Clients whose refresh tokens were proven to count from the last rotation."""
        with self._read.begin() as connection:
            return proven_sliding(connection)

    def exists(self, selection: Selection) -> bool:
        with self._read.begin() as connection:
            return connection.execute(select(c.id).where(selection.where).limit(1)).first() is not None

    def _switch(
        self,
        selection: Selection,
        condition: ColumnElement[bool],
        values: dict[str, Any],
        event: StreamEvent,
        now: datetime,
    ) -> int:
        with self._write.begin() as connection:
            _lock(connection, selection.where, condition)
            return connection.execute(_visible(selection.where, values, event, now).where(condition)).rowcount


def _lock(connection: Connection, *where: ColumnElement[bool]) -> None:
    """By id, as all who lock several rows: nobody waits in a ring."""
    connection.execute(select(c.id).where(*where).order_by(c.id).with_for_update()).all()


def _remove(connection: Connection, selection: Selection, now: datetime) -> int:
    _lock(connection, selection.where)  # no late answer leaves anything behind what is erased here
    values = {
        **statements.NO_ATTEMPT,
        "refresh_token": None,
        "access_token": None,
        "key_id": None,
        "next_attempt_at": None,
        "relogin_by": None,
        "in_doubt": 0,
        "paused": 0,
        "scope": "",
        "account": None,
        "removed_at": now,
    }
    chosen = select(c.id).where(selection.where)
    connection.execute(delete(fingerprint).where(fingerprint.c.credential_id.in_(chosen)))
    connection.execute(delete(attempt_log).where(attempt_log.c.credential_id.in_(chosen)))
    rescue.forget(connection, chosen)
    return connection.execute(_visible(selection.where, values, StreamEvent.REMOVED, now)).rowcount


def _visible(where: ColumnElement[bool], values: dict[str, Any], event: StreamEvent, now: datetime) -> Any:
    """A change that Redis shows counts a revision and leaves its event for the stream."""
    return (
        update(credential)
        .where(where)
        .values(
            **values,
            revision=c.revision + 1,
            unpublished_events=c.unpublished_events.op("||")(encode_events((event,))),
            updated_at=now,
        )
    )


def _view(row: RowMapping, proven: frozenset[ClientName]) -> View:
    status = status_of(row)
    return View(
        id=row["id"],
        client=row["client"],
        account=row["account"],
        status=status.value,
        reason=row["reason"],
        in_doubt=bool(row["in_doubt"]),
        relogin_soon=row["relogin_step"] > 0 and row["health"] == Health.ACTIVE,
        relogin_by=row["relogin_by"] if row["health"] == Health.ACTIVE else row["condemned_at"],
        expires_at=row["expires_at"],
        next_attempt_at=None if row["attempt_id"] else row["next_attempt_at"],
        refresh_at=row["refresh_at"],
        attempt_started_at=row["attempt_started_at"],
        scope=row["scope"],
        generation=row["generation"],
        revision=row["revision"],
        published_revision=row["published_revision"],
        failures=row["failures"],
        rejections=row["rejections"],
        last_outcome=row["last_outcome"],
        last_code=row["last_code"],
        attempted_at=row["attempted_at"],
        login_at=row["login_at"],
        rotated_at=row["rotated_at"],
        created_at=row["created_at"],
        lifetime_proven_sliding=row["client"] in proven,
        grant=(GrantType.REFRESH_TOKEN if row["refresh_token"] else GrantType.CLIENT_CREDENTIALS).value,
    )
