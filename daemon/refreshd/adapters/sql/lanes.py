"""A look at what is due before anything is claimed: lanes in which nothing waits cost no statement of a writing transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, literal, select

from refreshd.adapters.sql import claim_statements, statements
from refreshd.adapters.sql.schema import SCHEDULED, Instant, credential
from refreshd.domain.credential import ClientName, Lane

c = credential.c


def _first_of(lane: Lane) -> Any:
    """1 if a row of this client and lane is due: one step into the index of the schedule."""
    due = select(literal(1)).where(
        SCHEDULED,
        c.client == bindparam("client"),
        c.lane == int(lane),
        c.next_attempt_at <= bindparam("now", type_=Instant),
        statements.OPENABLE,
    )
    return due.limit(1).scalar_subquery().label(lane.name)


_DUE: Select[Any] = select(*(_first_of(lane) for lane in Lane))


def due_lanes(
    connection: Connection, clients: Iterable[ClientName], now: datetime, *, keys: Sequence[str]
) -> Mapping[ClientName, frozenset[Lane]]:
    """The lanes of each client in which something is due; clients of whom nothing is due are left out.

    `keys`: rows under others are not looked at.
    """
    names = list(clients)
    values = {"clients": names, "now": now, "keys": keys}
    if len(names) > 1 and connection.execute(claim_statements.FIRST_DUE, values).first() is None:
        return {}
    found: dict[ClientName, frozenset[Lane]] = {}
    for client in names:
        row = connection.execute(_DUE, {"client": client, "now": now, "keys": keys}).one()
        if lanes := frozenset(lane for lane, there in zip(Lane, row, strict=True) if there):
            found[client] = lanes
    return found
