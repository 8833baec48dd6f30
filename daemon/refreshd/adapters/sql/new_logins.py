"""The rows of logins that came from outside: added, or put in the place of an earlier login (protocol R14)."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, update

from refreshd.adapters.sql import rescue, statements
from refreshd.adapters.sql.schema import credential, fingerprint
from refreshd.domain.credential import Health

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
