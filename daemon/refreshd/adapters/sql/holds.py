"""Setting a credential aside until a person has seen to it, and counters that are ahead of ours."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    RowMapping,
    Update,
    and_,
    bindparam,
    case,
    false,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from refreshd.adapters.sql import statements
from refreshd.adapters.sql.rows import RowCodec, encode_events
from refreshd.adapters.sql.schema import HELD, Instant, credential
from refreshd.domain.credential import CredentialId, Health, Lane, Reason
from refreshd.domain.events import CredentialHeld, StreamEvent
from refreshd.domain.outcome import REFRESHED
from refreshd.ports.publisher import Counters
from refreshd.ports.sealer import Undecryptable
from refreshd.ports.store import Attempt

c = credential.c
PERMISSION = timedelta(minutes=10)
"""How long `adopt --all` lets another store's keys be taken over."""
_HELD: Mapping[str, Any] = {
    **statements.NO_ATTEMPT,
    "health": Health.HELD.value,
    "next_attempt_at": None,
    "unpublished_events": c.unpublished_events.op("||")(encode_events((StreamEvent.HELD,))),
    "updated_at": bindparam("at", type_=Instant),
}
_HELD_BEHIND: Mapping[str, Any] = {
    **_HELD,
    "reason": Reason.STORE_BEHIND.value,
    "access_token": None,
    "issued_at": None,
    "expires_at": None,
    "refresh_at": None,
}


def undecryptable(connection: Connection, row: RowMapping, now: datetime) -> CredentialHeld:
    """This row's refresh token is damaged, or there is none: it alone is set aside, untouched."""
    statement = update(credential).where(c.id == bindparam("b_id"))
    connection.execute(
        statement.values(**_HELD, reason=Reason.UNDECRYPTABLE.value, revision=c.revision + 1),
        {"b_id": row["id"], "at": now},
    )
    return CredentialHeld(id=row["id"], client=row["client"], generation=row["generation"], reason=Reason.UNDECRYPTABLE)


def behind(connection: Connection, attempt: Attempt, found: Counters, now: datetime) -> CredentialHeld | None:
    """What is published is newer than this row, so its tokens are old ones (protocol R11).

    The row takes the counters that it met, so that its status can be shown; its access token, dead by now, is not shown again.
    """
    before = attempt.credential
    result = connection.execute(
        update(credential)
        .where(c.id == bindparam("b_id"), c.attempt_id == bindparam("b_attempt_id"))
        .values(
            **_HELD_BEHIND,
            **_lifted(c.attempt_id.is_not(None)),
        ),
        {"b_id": before.id, "b_attempt_id": attempt.id, "at": now, **_values(found)},
    )
    if result.rowcount == 0:
        return None
    return CredentialHeld(id=before.id, client=before.client, generation=found.generation, reason=Reason.STORE_BEHIND)


def overtake(
    connection: Connection, found: Mapping[CredentialId, Counters], *, since: datetime | None, now: datetime
) -> Sequence[CredentialHeld]:
    """What of these rows is behind is held; then the others go on above what is published. All as the rows are now.

    Behind: of a lower generation, and not refreshed since then. Not a login that is newer than what is published, nor what has no
    refresh token to be spent, nor what is under way: that is met again when it has ended. `since` None: nothing is held.
    """
    held = []
    for name, counters in sorted(found.items()):
        values = {"b_id": name, "at": now, **_values(counters)}
        client = connection.scalar(_hold_if_behind(since, counters.updated_at), values) if since else None
        if client is None:
            connection.execute(_OVERTAKE, values)
        else:
            reason = Reason.STORE_BEHIND
            held.append(CredentialHeld(id=name, client=client, generation=counters.generation, reason=reason))
    return held


def _hold_if_behind(since: datetime, shown_at: datetime | None) -> ReturningUpdate[Any]:
    newer_login = and_(c.attempted_at.is_(None), c.login_at > shown_at) if shown_at else false()
    untouched = or_(c.attempted_at.is_(None), c.attempted_at <= since, c.last_outcome != REFRESHED)
    return (
        update(credential)
        .where(
            c.id == bindparam("b_id"),
            _AT_REST_BELOW,
            ~statements.NO_LOGIN,
            c.health != Health.HELD.value,
            untouched,
            not_(newer_login),
        )
        .values(**_HELD_BEHIND, **_lifted(c.attempt_id.is_(None)))
        .returning(c.client)
    )


def freed(now: datetime) -> Update:
    """What ends a hold: the row is due with the refresh token that it has."""
    return update(credential).values(
        health=Health.ACTIVE.value,
        reason=None,
        next_attempt_at=now,
        lane=case((c.in_doubt == 1, int(Lane.IN_DOUBT)), else_=int(Lane.ORDINARY)),
        revision=c.revision + 1,
        unpublished_events=c.unpublished_events.op("||")(encode_events((StreamEvent.RESUMED,))),
        updated_at=now,
    )


def free_readable(
    connection: Connection, codec: RowCodec, now: datetime, *, after: str, limit: int
) -> tuple[int, str | None]:
    """Of the next rows held as undecryptable free those that open by now: how many, and where to go on."""
    query = select(credential).where(HELD, c.reason == Reason.UNDECRYPTABLE.value, c.id > after)
    rows = connection.execute(query.order_by(c.id).limit(limit).with_for_update()).mappings().all()
    opened = [row["id"] for row in rows if _opens(codec, row)]
    if opened:
        connection.execute(freed(now).where(c.id.in_(opened)))
    return len(opened), rows[-1]["id"] if len(rows) == limit else None


def _opens(codec: RowCodec, row: RowMapping) -> bool:
    try:
        codec.refresh_token(row)
    except Undecryptable:
        return False
    return True


def lift(connection: Connection, found: Mapping[CredentialId, Counters], now: datetime) -> None:
    """Raise counters above those met in Redis. An open attempt keeps its generation, which its answer is compared with."""
    statement = update(credential).where(c.id == bindparam("b_id"), c.revision <= _revision())
    connection.execute(
        statement.values(updated_at=bindparam("at", type_=Instant), **_lifted(c.attempt_id.is_(None))),
        [{"b_id": name, "at": now, **_values(counters)} for name, counters in sorted(found.items())],
    )


def _lifted(may_change_generation: Any) -> Mapping[str, Any]:
    higher = may_change_generation & (c.generation < _generation())
    return {
        "generation": case((higher, _generation()), else_=c.generation),
        "revision": case((c.revision > _revision(), c.revision), else_=_revision()) + 1,
    }


def _revision() -> Any:
    return bindparam("found_revision", type_=BigInteger)


def _generation() -> Any:
    return bindparam("found_generation", type_=BigInteger)


def _values(found: Counters) -> Mapping[str, int]:
    return {"found_generation": found.generation, "found_revision": found.revision}


_AT_REST_BELOW = and_(c.attempt_id.is_(None), c.removed_at.is_(None), c.generation < _generation())
_OVERTAKE = (
    update(credential)
    .where(
        c.id == bindparam("b_id"),
        or_(_AT_REST_BELOW, and_(c.generation >= _generation(), c.revision < _revision())),
    )
    .values(updated_at=bindparam("at", type_=Instant), **_lifted(c.attempt_id.is_(None)))
)
