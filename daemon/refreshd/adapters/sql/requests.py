"""Requests of consumers against the rows: what is known of those asked for, and making one of them due.

Both limits stand in the store, so that all replicas keep them together and a restart forgets none.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Update, and_, case, literal, or_, select, update

from refreshd.adapters.sql.schema import Instant, credential, store
from refreshd.domain.credential import CredentialId, Health
from refreshd.domain.requests import RefreshRequest, RequestLimits, Standing, Standings, within

c = credential.c

ABLE = and_(
    c.paused == 0,
    c.health == Health.ACTIVE.value,
    c.attempt_id.is_(None),
    c.in_doubt == 0,
    c.rejections == 0,
    c.failures == 0,
)
"""Nothing is under way or waits for a reason of its own: doubt, confirmation and back-off keep their times (protocol R8, R10)."""


def standings(connection: Connection, ids: Collection[CredentialId]) -> Standings:
    """Of the ids that exist."""
    columns = (c.id, c.generation, c.requested_at, case((ABLE, 1), else_=0).label("able"))
    rows = connection.execute(select(*columns).where(c.id.in_(ids), c.removed_at.is_(None)))
    return Standings(
        found={
            CredentialId(row.id): Standing(
                generation=row.generation, able=bool(row.able), requested_at=row.requested_at
            )
            for row in rows
        },
        requested_at=connection.scalar(select(store.c.requested_at)),
    )


def take(connection: Connection, request: RefreshRequest, limits: RequestLimits, clock: Callable[[], datetime]) -> bool:
    """Make it due if its generation is still the current one and both limits still allow it; decided by the rows themselves.

    One at a time, whoever asks, and dated after the lock was had: an older date would take the last turn for one of the future.
    """
    last = connection.scalar(select(store.c.requested_at).with_for_update())
    now = clock()
    if within(last, limits.in_all, now) or not connection.execute(_due(request, limits, now)).rowcount:
        return False
    connection.execute(update(store).values(requested_at=now))
    return True


def _due(request: RefreshRequest, limits: RequestLimits, now: datetime) -> Update:
    return (
        update(credential)
        .where(
            c.id == request.id,
            c.generation == request.generation,
            c.removed_at.is_(None),
            ABLE,
            _not_within(c.requested_at, limits.per_credential, now),
        )
        .values(
            next_attempt_at=case((c.next_attempt_at < now, c.next_attempt_at), else_=literal(now, Instant)),
            requested_at=now,
        )
    )


def _not_within(column: ColumnElement[datetime | None], length: timedelta, now: datetime) -> ColumnElement[bool]:
    return or_(column.is_(None), column <= now - length, column > now)
