"""The warning ladder before a person must log in: whose next rung is reached, and what a proof of sliding changes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, and_, bindparam, case, literal, or_, select, update

from refreshd.adapters.sql.rows import encode_events
from refreshd.adapters.sql.schema import DEADLINED, Instant, client_fact, credential, to_micros
from refreshd.adapters.sql.statements import insert_once
from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.events import ReloginSoon, StreamEvent
from refreshd.domain.policy import steps_reached

c = credential.c


def nearing(
    connection: Connection, now: datetime, ladders: Mapping[ClientName, Sequence[timedelta]], limit: int
) -> Sequence[ReloginSoon]:
    """Credentials whose deadline came nearer than a rung not yet warned of. Ladders are longest first."""
    found: list[ReloginSoon] = []
    for client, ladder in ladders.items():
        rungs = [and_(c.relogin_step == taken, c.relogin_by <= now + rung) for taken, rung in enumerate(ladder)]
        if not rungs:
            continue
        query = select(c.id, c.generation, c.relogin_by).where(
            DEADLINED, c.client == client, c.removed_at.is_(None), or_(*rungs)
        )
        found.extend(
            ReloginSoon(
                id=CredentialId(row.id),
                client=client,
                generation=row.generation,
                relogin_by=row.relogin_by,
                step=steps_reached(ladder, deadline=row.relogin_by, now=now),
            )
            for row in connection.execute(query.limit(limit))
        )
    return found


def step_up(connection: Connection, near: Sequence[ReloginSoon], now: datetime) -> Sequence[ReloginSoon]:
    """Record the step, once. A row that was refreshed or replaced since it was read is left out."""
    statement = (
        update(credential)
        .where(
            c.id == bindparam("b_id"),
            c.relogin_by == bindparam("b_relogin_by", type_=Instant),
            c.relogin_step < bindparam("step"),
            DEADLINED,
        )
        .values(
            relogin_step=bindparam("step"),
            revision=c.revision + 1,
            unpublished_events=c.unpublished_events.op("||")(encode_events((StreamEvent.RELOGIN_SOON,))),
            updated_at=bindparam("now", type_=Instant),
        )
    )
    changed: list[ReloginSoon] = []
    for one in sorted(near, key=lambda each: each.id):
        values = {"b_id": one.id, "b_relogin_by": one.relogin_by, "step": one.step, "now": now}
        if connection.execute(statement, values).rowcount == 1:
            changed.append(one)
    return changed


def proven_sliding(connection: Connection) -> frozenset[ClientName]:
    """The clients whose refresh tokens were proven to count from the last rotation."""
    return frozenset(map(ClientName, connection.scalars(select(client_fact.c.client)).all()))


def prove_sliding(
    connection: Connection,
    client: ClientName,
    *,
    lifetime: timedelta,
    ladder: Sequence[timedelta],
    now: datetime,
) -> None:
    """Record that this client's refresh tokens slide; date its deadlines from the last rotation and take early warnings back."""
    connection.execute(insert_once(client_fact), {"client": client, "sliding_proven_at": now})
    slid = c.rotated_at + literal(to_micros(lifetime), BigInteger)
    # a token that was never rotated keeps its deadline
    deadline = case((slid > c.relogin_by, slid), else_=c.relogin_by)
    first = now + max(ladder, default=timedelta(0))
    warned = case((deadline > literal(first, Instant), 0), else_=c.relogin_step)
    connection.execute(
        update(credential)
        .where(c.client == client, c.removed_at.is_(None))
        .values(relogin_by=deadline, relogin_step=warned, revision=c.revision + 1, updated_at=now)
    )
