"""The rows of logins that came from outside: added, or put in the place of an earlier login (protocol R14)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, bindparam, insert, update

from refreshd.adapters.sql import rescue, statements
from refreshd.adapters.sql.known import Stored
from refreshd.adapters.sql.rows import RowCodec, encode_events
from refreshd.adapters.sql.schema import credential, fingerprint
from refreshd.domain.credential import Health, Lane, is_ending
from refreshd.domain.events import StreamEvent
from refreshd.domain.grant import Grant
from refreshd.domain.policy import RefreshPolicy, refresh_at, relogin_by

c = credential.c

_NEW_LOGIN = (
    "client",
    "family",
    "refresh_token",
    "access_token",
    "key_id",
    "token_type",
    "scope",
    "issued_at",
    "expires_at",
    "next_attempt_at",
    "lane",
    "refresh_at",
    "login_at",
    "rotated_at",
    "relogin_by",
    "updated_at",
    "account",
)

_REPLACED = ("id", "unpublished_events", *_NEW_LOGIN)

# A new login closes the open attempt and starts a new family (protocol R14). Counters are raised relative to the row.
_REPLACE = (
    update(credential)
    .where(c.id == bindparam("new_id"))
    .values(
        **{name: bindparam(f"new_{name}", type_=c[name].type) for name in _NEW_LOGIN},
        **statements.NO_ATTEMPT,
        generation=c.generation + 1,
        revision=c.revision + 1,
        unpublished_events=c.unpublished_events.op("||")(bindparam("new_unpublished_events")),
        in_doubt=0,
        health=Health.ACTIVE.value,
        reason=None,
        removed_at=None,
        failures=0,
        rejections=0,
        rejected_code=None,
        first_rejected_at=None,
        condemned_at=None,
        relogin_step=0,
        last_outcome=None,
        last_code=None,
        attempted_at=None,
    )
)


def row_of(
    grant: Grant,
    existing: Stored | None,
    *,
    codec: RowCodec,
    policy: RefreshPolicy,
    scope: str,
    now: datetime,
    draw: Callable[[], float],
) -> dict[str, Any]:
    """A login as its new row; `existing` is what stands under its id, whose counters go on.

    An access token is taken over if its end is known and ahead. Without one the row is due at once. `scope` is for a
    grant that names none; `draw`: chance in [0, 1), once if there is a turn to plan.
    """
    login_at = grant.login_at or grant.issued_at or now
    rotated_at = grant.issued_at or login_at
    dated = grant.access_token is not None and grant.expires_at is not None and grant.expires_at > now
    issued_at = grant.issued_at or (grant.expires_at - policy.access_lifetime if grant.expires_at else None)
    turn = None
    if dated and issued_at and grant.expires_at:
        issued_at = min(issued_at, now)
        turn = refresh_at(policy, issued_at=issued_at, expires_at=grant.expires_at, draw=draw())
    deadline = relogin_by(policy, login_at=login_at, rotated_at=rotated_at)
    events = (StreamEvent.RECOVERED,) if existing and existing.health == Health.RELOGIN_REQUIRED else ()
    return {
        "id": grant.id,
        "client": grant.client,
        "family": uuid4().hex,
        "refresh_token": codec.seal(grant.refresh_token, "refresh_token", grant.id) if grant.refresh_token else None,
        "access_token": codec.seal(grant.access_token, "access_token", grant.id)
        if dated and grant.access_token
        else None,
        "key_id": codec.key_id if grant.refresh_token or dated else None,
        "token_type": grant.token_type,
        "scope": grant.scope if grant.scope is not None else scope,
        "issued_at": issued_at if dated else None,
        "expires_at": grant.expires_at if dated else None,
        "generation": existing.generation + 1 if existing else 1,
        "next_attempt_at": turn or now,
        "lane": int(_lane(deadline, turn, now)),
        "refresh_at": turn or now,
        "login_at": login_at,
        "rotated_at": rotated_at,
        "relogin_by": deadline,
        "revision": existing.revision + 1 if existing else 1,
        "unpublished_events": encode_events((*events, StreamEvent.REFRESHED) if dated else events),
        "created_at": now,
        "updated_at": now,
        "account": grant.account,
    }


def put(
    connection: Connection,
    *,
    added: Sequence[Mapping[str, Any]],
    replaced: Sequence[Mapping[str, Any]],
    prints: Sequence[Mapping[str, Any]],
) -> None:
    """Write them; what was put aside for a replaced login is forgotten with it."""
    if added:
        connection.execute(insert(credential), added)
    if replaced:
        rescue.forget(connection, [row["id"] for row in replaced])
        connection.execute(_REPLACE, [{f"new_{name}": row[name] for name in _REPLACED} for row in replaced])
    if prints:
        connection.execute(insert(fingerprint), prints)


def _lane(deadline: datetime | None, turn: datetime | None, now: datetime) -> Lane:
    if is_ending(deadline, turn or now):
        return Lane.ENDING
    return Lane.UNDATED if turn is None else Lane.ORDINARY
