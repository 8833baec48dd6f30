"""Counts over all rows, for metrics. One pass; 155 ms per 100,000 rows, so on a read connection once a minute."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Integer, case, func, literal, select

from refreshd.adapters.sql.schema import PENDING, SCHEDULED, Instant, credential, store
from refreshd.adapters.sql.sealed_columns import rows_by_key
from refreshd.domain.credential import ClientName, Status
from refreshd.domain.figures import ClientFigures, Figures

c = credential.c


def count(connection: Connection, now: datetime) -> Figures:
    """Raises what SQLAlchemy raises."""
    at = literal(now, Instant)
    first_due = connection.scalar(select(func.min(c.next_attempt_at)).where(SCHEDULED, c.next_attempt_at <= at))
    return Figures(
        clients=_by_client(connection, at),
        due=connection.scalar(select(func.count()).where(SCHEDULED, c.next_attempt_at <= at)) or 0,
        overdue=now - first_due if first_due else timedelta(0),
        publish_pending=connection.scalar(select(func.count()).select_from(credential).where(PENDING)) or 0,
        rows_by_key=rows_by_key(connection),
        last_commit_at=connection.scalar(select(store.c.last_commit_at)),
    )


def _by_client(connection: Connection, at: ColumnElement[datetime]) -> dict[ClientName, ClientFigures]:
    """Removed rows count nowhere; what is near its end or expired, only where it is active."""
    status = case(
        (c.removed_at.is_not(None), Status.REMOVED.value), (c.paused == 1, Status.PAUSED.value), else_=c.health
    )
    rows = connection.execute(
        select(
            c.client,
            status.label("status"),
            func.count().label("number"),
            func.sum(case((c.relogin_step > 0, 1), else_=0).cast(Integer)).label("soon"),
            func.sum(case((c.expires_at <= at, 1), else_=0).cast(Integer)).label("expired"),
            func.sum(c.in_doubt).label("doubts"),
            func.min(c.relogin_by).label("next"),
        ).group_by(c.client, "status")
    ).all()
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
