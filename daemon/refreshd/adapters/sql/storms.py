"""Grant storms in the store, so that a restart in the middle of one condemns nobody (protocol R10)."""

from datetime import datetime

from sqlalchemy import Connection, func, literal, or_, select, update

from refreshd.adapters.sql.schema import REFUSED, SCHEDULED, Instant, credential, grant_storm
from refreshd.adapters.sql.statements import insert_once
from refreshd.domain.credential import ClientName, Health, Lane, Reason
from refreshd.domain.storm import SHARE, WINDOW, Refusals

c = credential.c
_s = grant_storm.c


def refusals(connection: Connection, client: ClientName, now: datetime) -> Refusals:
    """Credentials whose last answer was a refusal without a doubt of ours, and as many of the client's as that share needs."""
    row = connection.execute(select(grant_storm).where(_s.client == client)).first()
    if row is not None and row.began_at is not None:  # under way: nothing to count
        return Refusals(credentials=0, refused=0, began_at=row.began_at, counts_from=row.counts_from)
    since = now - WINDOW
    if row is not None and row.counts_from is not None:
        since = max(since, row.counts_from)
    unexplained = or_(c.reason.is_(None), c.reason != Reason.ROTATION_LOST.value)
    living = or_(
        c.condemned_at.is_(None), c.condemned_at >= since
    )  # old condemnations are refused again when they heal
    refused = connection.scalar(
        select(func.count()).where(
            REFUSED, c.client == client, c.attempted_at >= since, c.in_doubt == 0, c.paused == 0, unexplained, living
        )
    )
    enough = int((refused or 0) / SHARE) + 1
    alive = select(literal(1)).where(SCHEDULED, c.client == client, living).limit(enough)
    credentials = connection.scalar(select(func.count()).select_from(alive.subquery()))
    return Refusals(credentials=credentials or 0, refused=refused or 0, counts_from=row.counts_from if row else None)


def begin(connection: Connection, client: ClientName, now: datetime) -> bool:
    """False when one is under way: of many refusals at once only one begins it."""
    connection.execute(insert_once(grant_storm), {"client": client, "began_at": None, "counts_from": None})
    quiet = update(grant_storm).where(_s.client == client, _s.began_at.is_(None))
    return connection.execute(quiet.values(began_at=now)).rowcount == 1


def end(
    connection: Connection, client: ClientName, counts_from: datetime, now: datetime, *, anew: bool = False
) -> bool:
    """Also makes the refused due, those condemned before the storm was seen as one included. Not a doubt: it keeps its own time.

    `anew`: their refusals are forgotten, as a provider that was at fault gave them; each is confirmed again.
    """
    began_at = connection.scalar(select(_s.began_at).where(_s.client == client))
    this = update(grant_storm).where(_s.client == client, _s.began_at == began_at)
    if began_at is None or connection.execute(this.values(began_at=None, counts_from=counts_from)).rowcount == 0:
        return False
    recent = or_(c.condemned_at.is_(None), c.condemned_at >= began_at - WINDOW)
    refused = (REFUSED, SCHEDULED, c.client == client, c.rejections > 0, c.attempt_id.is_(None), recent)
    connection.execute(
        update(credential).where(*refused, c.in_doubt == 0).values(next_attempt_at=literal(now, Instant))
    )
    if anew:
        connection.execute(update(credential).where(*refused, c.health == Health.ACTIVE.value).values(_FORGIVEN))
    return True


_FORGIVEN = {"rejections": 0, "rejected_code": None, "first_rejected_at": None, "lane": int(Lane.RETRYING)}


def under_way(connection: Connection) -> frozenset[ClientName]:
    return frozenset(map(ClientName, connection.scalars(select(_s.client).where(_s.began_at.is_not(None)))))
