"""The statements of one credential's way, built once. What they mean stands in docs/architecture.md, "The row"."""

from sqlalchemy import (
    BigInteger,
    Integer,
    LargeBinary,
    String,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import Update
from sqlalchemy.sql.selectable import Select

from refreshd.adapters.sql.schema import SCHEDULED, Instant, credential, store
from refreshd.domain.credential import Lane

c = credential.c
LANES = tuple(int(lane) for lane in Lane)

NO_ATTEMPT = {"attempt_id": None, "attempt_owner": None, "attempt_started_at": None, "lease_until": None}

_DECIDED = (
    "generation",
    "scope",
    "rotated_at",
    "issued_at",
    "expires_at",
    "refresh_at",
    "next_attempt_at",
    "lane",
    "health",
    "reason",
    "in_doubt",
    "failures",
    "rejections",
    "rejected_code",
    "first_rejected_at",
    "condemned_at",
    "relogin_by",
    "last_outcome",
    "last_code",
    "attempted_at",
    "updated_at",
)

COMMIT: Update = (
    update(credential)
    .where(
        c.id == bindparam("b_id"),
        c.attempt_id == bindparam("b_attempt_id"),
        c.generation == bindparam("b_generation"),
    )
    .values(
        **{name: bindparam(f"set_{name}", type_=c[name].type) for name in _DECIDED},
        **NO_ATTEMPT,
        refresh_token=func.coalesce(bindparam("set_refresh_token", type_=LargeBinary), c.refresh_token),
        key_id=func.coalesce(bindparam("set_key_id", type_=String), c.key_id),
        access_token=case(
            (bindparam("withdraw", type_=Integer) == 1, None),
            else_=func.coalesce(bindparam("set_access_token", type_=LargeBinary), c.access_token),
        ),
        token_type=func.coalesce(bindparam("set_token_type", type_=String), c.token_type),
        relogin_step=case(
            (c.relogin_step > bindparam("warnings_left", type_=Integer), bindparam("warnings_left", type_=Integer)),
            else_=c.relogin_step,
        ),
        revision=c.revision + bindparam("bump", type_=BigInteger),
        unpublished_events=c.unpublished_events.op("||")(bindparam("events", type_=String)),
    )
)

COMMITTED_AT: Update = update(store).values(last_commit_at=bindparam("at", type_=Instant))

FIRST_DUE: Select[tuple[str]] = (
    select(c.id)
    .where(
        SCHEDULED,
        c.client.in_(bindparam("clients", expanding=True)),
        c.lane.in_(LANES),
        c.next_attempt_at <= bindparam("now", type_=Instant),
    )
    .limit(1)
)

RELEASE: Update = (
    update(credential)
    .where(c.id == bindparam("b_id"), c.attempt_id == bindparam("b_attempt_id"))
    .values(
        **NO_ATTEMPT,
        next_attempt_at=c.attempt_started_at,
        lane=case(
            (c.rejections > 0, int(Lane.CONFIRMING)),
            (c.in_doubt == 1, int(Lane.IN_DOUBT)),
            else_=int(Lane.ORDINARY),
        ),
    )
)

MARK_PUBLISHED: Update = (
    update(credential)
    .where(c.id == bindparam("b_id"), c.published_revision < bindparam("b_revision", type_=BigInteger))
    .values(
        published_revision=bindparam("b_revision", type_=BigInteger),
        unpublished_events=func.substr(c.unpublished_events, bindparam("spent", type_=Integer) + 1),
    )
)


def claim(*, probe: bool) -> Update:
    """Take up to `count` due rows of one client and lane: the write-ahead intent.

    A row that still has an open attempt lost its owner: it is in doubt from here on. A probe takes the row whose access token
    expires soonest, whatever its lane, but rows that met the same wall before only in turn: one bad row must not be the probe
    for ever.
    """
    due = select(c.id).where(
        SCHEDULED,
        c.client == bindparam("b_client"),
        c.lane.in_(LANES) if probe else c.lane == bindparam("b_lane", type_=Integer),
        c.next_attempt_at <= bindparam("now", type_=Instant),
        c.id.not_in(bindparam("holding", expanding=True)),
    )
    walled = case((c.last_outcome == "misconfigured", c.attempted_at), else_=None)
    order = (walled.asc().nulls_first(), c.expires_at.asc().nulls_last()) if probe else (c.next_attempt_at,)
    lapsed = c.attempt_id.is_not(None)
    return (
        update(credential)
        .where(c.id.in_(due.order_by(*order).limit(bindparam("count", type_=Integer))))
        .values(
            attempt_id=literal("").op("||")(bindparam("batch", type_=String)).op("||")(c.id),
            attempt_owner=bindparam("owner", type_=String),
            attempt_started_at=bindparam("now", type_=Instant),
            lease_until=bindparam("until", type_=Instant),
            next_attempt_at=bindparam("until", type_=Instant),
            lane=int(Lane.IN_DOUBT),
            in_doubt=case((lapsed, 1), else_=c.in_doubt),
            revision=c.revision + case((and_(lapsed, c.in_doubt == 0), 1), else_=0),
        )
        .returning(credential)
    )


def recover(settle_micros: int, *, client: str | None, known: tuple[str, ...] = ()) -> Update:
    """Every open attempt becomes a doubt that settles `settle_micros` after it was started, at the earliest now."""
    settled = c.attempt_started_at + literal(settle_micros, BigInteger)
    now = bindparam("now", type_=Instant)
    mine = c.client == client if client is not None else or_(c.client.not_in(known))
    return (
        update(credential)
        .where(c.attempt_id.is_not(None), mine)
        .values(
            **NO_ATTEMPT,
            in_doubt=1,
            lane=int(Lane.IN_DOUBT),
            next_attempt_at=case((settled > now, settled), else_=now),
            revision=c.revision + case((c.in_doubt == 0, 1), else_=0),
            updated_at=now,
        )
    )
