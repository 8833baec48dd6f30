"""Counts over all rows, for metrics. One pass; 155 ms per 100,000 rows, so on a read connection once a minute."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Integer, bindparam, case, func, select

from refreshd.adapters.sql.schema import PENDING, SCHEDULED, Instant, credential, store
from refreshd.adapters.sql.sealed_columns import rows_by_key
from refreshd.domain.credential import ClientName, Status
from refreshd.domain.figures import ClientFigures, Figures

c = credential.c
_AT = bindparam("at", type_=Instant)
_STATUS = case((c.removed_at.is_not(None), Status.REMOVED.value), (c.paused == 1, Status.PAUSED.value), else_=c.health)
_BY_STATUS = select(
    c.client,
    _STATUS.label("status"),
    func.count().label("number"),
    func.sum(case((c.relogin_step > 0, 1), else_=0).cast(Integer)).label("soon"),
    func.sum(case((c.expires_at <= _AT, 1), else_=0).cast(Integer)).label("expired"),
    func.sum(c.in_doubt).label("doubts"),
    func.min(c.relogin_by).label("next"),
).group_by(c.client, "status")
_DUE = select(func.min(c.next_attempt_at), func.count()).where(SCHEDULED, c.next_attempt_at <= _AT)
_PENDING = select(func.count()).select_from(credential).where(PENDING)


def count(connection: Connection, now: datetime) -> Figures:
    """Raises what SQLAlchemy raises."""
    first_due, due = connection.execute(_DUE, {"at": now}).one()
    return Figures(
        clients=_by_client(connection, now),
        due=due,
        overdue=now - first_due if first_due else timedelta(0),
        publish_pending=connection.scalar(_PENDING) or 0,
        rows_by_key=rows_by_key(connection),
        last_commit_at=connection.scalar(select(store.c.last_commit_at)),
    )


def _by_client(connection: Connection, now: datetime) -> dict[ClientName, ClientFigures]:
    """Removed rows count nowhere; what is near its end or expired, only where it is active."""
    rows = connection.execute(_BY_STATUS, {"at": now}).all()
    found: dict[ClientName, ClientFigures] = {}
    for row in rows:
        if row.status == Status.REMOVED:
            continue
        before = found.get(ClientName(row.client), ClientFigures())
        figures = replace(
            before, by_status={**before.by_status, row.status: row.number}, in_doubt=before.in_doubt + row.doubts
        )
        if row.status == Status.ACTIVE:
            figures = replace(
                figures, relogin_soon=row.soon, access_tokens_expired=row.expired, next_relogin_at=row.next
            )
        found[ClientName(row.client)] = figures
    return found
