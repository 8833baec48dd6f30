"""The statements of one credential's way after its claim, built once. What they mean stands in docs/architecture.md, "The row"."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    LargeBinary,
    String,
    Table,
    TextClause,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.sql.dml import Update
from sqlalchemy.sql.selectable import Select

from refreshd.adapters.sql.schema import HELD, PENDING, Instant, credential, store
from refreshd.domain.credential import Health, Lane, Reason
from refreshd.domain.events import StreamEvent

c = credential.c

SHOWN = (
    c.id,
    c.client,
    c.health,
    c.paused,
    c.removed_at,
    c.reason,
    c.generation,
    c.revision,
    c.in_doubt,
    c.relogin_step,
    c.relogin_by,
    c.condemned_at,
    c.refresh_at,
    c.scope,
    c.access_token,
    c.token_type,
    c.issued_at,
    c.expires_at,
    c.updated_at,
    c.unpublished_events,
)
"""What a snapshot is made of."""
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

_EVENTS = bindparam("events", type_=String)
_ANSWERED: Mapping[str, Any] = {
    **{name: bindparam(f"set_{name}", type_=c[name].type) for name in _DECIDED},
    **NO_ATTEMPT,
    "refresh_token": func.coalesce(bindparam("set_refresh_token", type_=LargeBinary), c.refresh_token),
    "key_id": func.coalesce(bindparam("set_key_id", type_=String), c.key_id),
    "access_token": case(
        (bindparam("withdraw", type_=Integer) == 1, None),
        else_=func.coalesce(bindparam("set_access_token", type_=LargeBinary), c.access_token),
    ),
    "token_type": func.coalesce(bindparam("set_token_type", type_=String), c.token_type),
    "relogin_step": case(
        (c.relogin_step > bindparam("warnings_left", type_=Integer), bindparam("warnings_left", type_=Integer)),
        else_=c.relogin_step,
    ),
    "revision": c.revision + bindparam("bump", type_=BigInteger),
    "unpublished_events": c.unpublished_events.op("||")(_EVENTS),
}

COMMIT: Update = (
    update(credential)
    .where(
        c.id == bindparam("b_id"),
        c.attempt_id == bindparam("b_attempt_id"),
        c.generation == bindparam("b_generation"),
    )
    .values(_ANSWERED)
)

LEAP = 1000
"""More revisions than a credential gains in the minutes that a failover may lose: what Redis was shown meanwhile stays behind."""

BEHIND = and_(HELD, c.reason == Reason.STORE_BEHIND.value)
"""Held by the rollback guard: such a row shows the generation that Redis has, and its token is an older one."""

RESTORE: Update = (
    update(credential)
    .where(
        c.id == bindparam("b_id"),
        c.family == bindparam("b_family"),
        or_(
            c.generation < bindparam("set_generation", type_=BigInteger),
            and_(BEHIND, c.generation == bindparam("set_generation", type_=BigInteger)),
        ),
        c.removed_at.is_(None),
    )
    .values(
        {
            **_ANSWERED,
            "revision": c.revision + bindparam("bump", type_=BigInteger) + LEAP,
            "unpublished_events": c.unpublished_events + case((BEHIND, f"{StreamEvent.RESUMED},"), else_="") + _EVENTS,
        }
    )
)
"""An answer that was committed once, or never could be, is put back. It ends a hold that its absence has caused."""

_AT = bindparam("at", type_=Instant)
SIGN_OF_LIFE: Update = update(store).values(
    last_commit_at=case((store.c.last_commit_at > _AT, store.c.last_commit_at), else_=_AT)
)
"""It never goes back but with the schedule, so that a start finds out about a clock that did (protocol R13)."""

_KNOWN = c.key_id.in_(bindparam("keys", expanding=True))
OPENABLE = or_(c.refresh_token.is_(None), c.key_id.is_(None), _KNOWN)
"""Not what rests under a key that this process does not have: another may have it, or it comes. Damage shows when it is opened."""

SHOWABLE = or_(
    c.access_token.is_(None),
    c.key_id.is_(None),
    c.paused == 1,
    c.health == Health.RELOGIN_REQUIRED.value,
    c.removed_at.is_not(None),
    _KNOWN,
)
"""The same for its access token, where that is shown at all."""

UNPUBLISHED: Select[Any] = (
    select(*SHOWN).where(PENDING, SHOWABLE).order_by(c.updated_at.desc()).limit(bindparam("most", type_=Integer))
)
"""What Redis has not seen, the newest first."""

PAGE: Select[Any] = (
    select(*SHOWN).where(SHOWABLE, c.id > bindparam("after")).order_by(c.id).limit(bindparam("most", type_=Integer))
)
"""All that is shown, page by page; the first one comes after ""."""


def insert_once(table: Table) -> TextClause:
    """A row with all its columns; one that stands there already stays, also if another process has just put it there."""
    names = [column.name for column in table.columns]
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)}) "  # noqa: S608 - our own names
    return text(statement + "ON CONFLICT DO NOTHING").bindparams(
        *(bindparam(column.name, type_=column.type) for column in table.columns)
    )


MARK_PUBLISHED: Update = (
    update(credential)
    .where(c.id == bindparam("b_id"), c.published_revision < bindparam("b_revision", type_=BigInteger))
    .values(
        published_revision=bindparam("b_revision", type_=BigInteger),
        unpublished_events=func.substr(c.unpublished_events, bindparam("spent", type_=Integer) + 1),
    )
)


OPEN_ATTEMPT = c.attempt_id.is_not(None)
NO_LOGIN = c.refresh_token.is_(None)
"""Nothing that could be lost was presented, so there is nothing to doubt."""
DOUBT: Mapping[str, Any] = {
    **NO_ATTEMPT,
    "in_doubt": case((NO_LOGIN, c.in_doubt), else_=1),
    "lane": case((NO_LOGIN, int(Lane.RETRYING)), else_=int(Lane.IN_DOUBT)),
    "revision": c.revision + case((and_(c.in_doubt == 0, ~NO_LOGIN), 1), else_=0),
    "updated_at": bindparam("now", type_=Instant),
}
"""What an open attempt without an owner becomes."""


def settled(delays: Mapping[str, int]) -> Any:
    """When a doubt found at the start may be asked about: so many microseconds after it began, by client, at the earliest now.

    One that began in the future was dated by a clock that has gone back since: it counts as begun now.
    """
    longest = literal(max(delays.values(), default=0), BigInteger)
    delay = case(
        *((c.client == client, literal(micros, BigInteger)) for client, micros in delays.items()), else_=longest
    )
    now = bindparam("now", type_=Instant)
    began = case((c.attempt_started_at > now, now), else_=c.attempt_started_at)
    at = began + (delay if delays else longest)
    return case((and_(at > now, ~NO_LOGIN), at), else_=now)
