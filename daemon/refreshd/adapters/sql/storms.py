"""Grant storms in the store, so that a restart in the middle of one condemns nobody (protocol R10)."""

from datetime import datetime

from sqlalchemy import Connection, func, insert, literal, or_, select, update

from refreshd.adapters.sql.schema import REFUSED, SCHEDULED, Instant, credential, grant_storm
from refreshd.domain.credential import ClientName, Reason
from refreshd.domain.storm import SHARE, WINDOW, Refusals

c = credential.c
_s = grant_storm.c


def refusals(connection: Connection, client: ClientName, now: datetime) -> Refusals:
    """Credentials whose last answer was a refusal without a doubt of ours, and as many of the client's as that share needs."""
    row = connection.execute(select(grant_storm).where(_s.client == client)).first()
    since = now - WINDOW
    if row is not None and row.counts_from is not None:
        since = max(since, row.counts_from)
    unexplained = or_(c.reason.is_(None), c.reason != Reason.ROTATION_LOST.value)
    refused = connection.scalar(
        select(func.count()).where(
            REFUSED, c.client == client, c.attempted_at >= since, c.in_doubt == 0, c.paused == 0, unexplained
        )
    )
    alive = select(literal(1)).where(
        SCHEDULED, c.client == client, or_(c.condemned_at.is_(None), c.condemned_at >= since)
    )
    enough = int((refused or 0) / SHARE) + 1
    credentials = connection.scalar(select(func.count()).select_from(alive.limit(enough).subquery()))
    return Refusals(
        credentials=credentials or 0,
        refused=refused or 0,
        began_at=row.began_at if row else None,
        counts_from=row.counts_from if row else None,
    )


def begin(connection: Connection, client: ClientName, now: datetime) -> bool:
    """False when one is under way: of many refusals at once only one begins it."""
    row = connection.execute(select(_s.began_at).where(_s.client == client)).first()
    if row is None:
        connection.execute(insert(grant_storm).values(client=client, began_at=now))
    elif row.began_at is None:
        connection.execute(update(grant_storm).where(_s.client == client).values(began_at=now))
    return row is None or row.began_at is None


def end(connection: Connection, client: ClientName, counts_from: datetime, now: datetime) -> bool:
    """Also makes the refused due, those condemned before the storm was seen as one included."""
    began_at = connection.scalar(select(_s.began_at).where(_s.client == client))
    if began_at is None:
        return False
    connection.execute(update(grant_storm).where(_s.client == client).values(began_at=None, counts_from=counts_from))
    recent = or_(c.condemned_at.is_(None), c.condemned_at >= began_at - WINDOW)
    connection.execute(
        update(credential)
        .where(REFUSED, SCHEDULED, c.client == client, c.rejections > 0, c.attempt_id.is_(None), recent)
        .values(next_attempt_at=literal(now, Instant))
    )
    return True


def under_way(connection: Connection) -> frozenset[ClientName]:
    return frozenset(map(ClientName, connection.scalars(select(_s.client).where(_s.began_at.is_not(None)))))
