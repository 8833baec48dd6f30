"""The statements that take due work and give it back, built once: protocol §4 over the index of the schedule.

What an attempt's answer changes stands in `statements`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Integer, String, and_, bindparam, case, literal, select, update
from sqlalchemy.sql.dml import Update
from sqlalchemy.sql.selectable import Select

from refreshd.adapters.sql.schema import SCHEDULED, Instant, credential
from refreshd.adapters.sql.statements import NO_ATTEMPT, OPEN_ATTEMPT, OPENABLE
from refreshd.domain.credential import Lane

c = credential.c
_LANES = tuple(int(lane) for lane in Lane)

_NOT_CLAIMED = ("access_token", "token_type", "key_id", "unpublished_events", "created_at", "updated_at", "account")
"""Columns that no attempt needs: the ciphertext is as long as all others together."""
CLAIMED = tuple(column for column in credential.columns if column.name not in _NOT_CLAIMED)


FIRST_DUE: Select[tuple[str]] = (
    select(c.id)
    .where(
        SCHEDULED,
        c.client.in_(bindparam("clients", expanding=True)),
        c.lane.in_(_LANES),
        c.next_attempt_at <= bindparam("now", type_=Instant),
        OPENABLE,
    )
    .limit(1)
)


class Work(StrEnum):
    """The classes of protocol §4, each one statement over the index of the schedule; and the probe of a suspended client."""

    IN_DOUBT = "in doubt"
    ENDING = "ending"
    LIVING = "living"
    ORDINARY = "ordinary"
    UNDATED = "undated"
    RETRYING = "retrying"
    CONFIRMING = "confirming"
    PROBE = "probe"


LANE_OF = {
    Work.IN_DOUBT: Lane.IN_DOUBT,
    Work.ENDING: Lane.ENDING,
    Work.LIVING: Lane.ORDINARY,
    Work.ORDINARY: Lane.ORDINARY,
    Work.UNDATED: Lane.UNDATED,
    Work.RETRYING: Lane.RETRYING,
    Work.CONFIRMING: Lane.CONFIRMING,
}


def _claim(work: Work) -> Update:
    """Take up to `count` due rows of one client and class: the write-ahead intent.

    Living access tokens come in the order of their turns; they cannot have been due for longer than `horizon`, so what lies
    before it is expired and need not be read. A probe takes the row whose access token expires soonest, whatever its lane, but
    rows that met the same wall before only in turn: one bad row must not be the probe for ever.

    What another replica is just taking is passed over, and so is an open attempt that could not be put in doubt first, because
    somebody else had locked its row. The choice stands apart, because PostgreSQL may repeat a subquery and so
    take more than `count`.
    """
    due = select(c.id).where(
        SCHEDULED,
        c.client == bindparam("b_client"),
        c.lane.in_(_LANES) if work is Work.PROBE else c.lane == int(LANE_OF[work]),
        c.next_attempt_at <= bindparam("now", type_=Instant),
        c.id.not_in(bindparam("holding", expanding=True)),
        c.attempt_id.is_(None),
        OPENABLE,
    )
    order: tuple[ColumnElement[Any], ...] = (c.next_attempt_at,)
    if work is Work.LIVING:
        due = due.where(
            c.next_attempt_at >= bindparam("horizon", type_=Instant), c.expires_at > bindparam("alive", type_=Instant)
        )
    if work is Work.PROBE:
        walled = case((c.last_outcome == "misconfigured", c.attempted_at), else_=None)
        order = (walled.asc().nulls_first(), c.expires_at.asc().nulls_last())
    chosen = (
        due.order_by(*order).limit(bindparam("count", type_=Integer)).with_for_update(skip_locked=True).cte("chosen")
    )
    return (
        update(credential)
        .where(c.id.in_(select(chosen.c.id)))
        .values(
            attempt_id=literal("").op("||")(bindparam("batch", type_=String)).op("||")(c.id),
            attempt_owner=bindparam("owner", type_=String),
            attempt_started_at=bindparam("now", type_=Instant),
            lease_until=bindparam("until", type_=Instant),
            next_attempt_at=bindparam("until", type_=Instant),
            lane=int(Lane.IN_DOUBT),
        )
        .returning(*CLAIMED)
    )


CLAIM: Mapping[Work, Update] = {work: _claim(work) for work in Work}
"""What to execute for each class."""

LAPSED = and_(
    SCHEDULED,
    c.client.in_(bindparam("clients", expanding=True)),
    c.lane == int(Lane.IN_DOUBT),
    c.next_attempt_at <= bindparam("now", type_=Instant),
    c.id.not_in(bindparam("holding", expanding=True)),
    OPEN_ATTEMPT,
)
"""Open attempts whose lease ran out: their owner vanished (protocol R7). The lease contains the settling, so they are due."""

RELEASE: Update = (
    update(credential)
    .where(c.id == bindparam("b_id"), c.attempt_id == bindparam("b_attempt_id"))
    .values(**NO_ATTEMPT, next_attempt_at=c.attempt_started_at, lane=bindparam("set_lane", type_=Integer))
)
