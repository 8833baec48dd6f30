"""Rescued tokens: answers whose attempt had lost its row, sealed and put aside within their family (protocol R5)."""

from datetime import datetime

from sqlalchemy import Connection, RowMapping, delete, insert, select

from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.schema import rescued_token
from refreshd.domain.credential import AccessToken
from refreshd.domain.rescue import RescuedToken
from refreshd.domain.transition import Transition
from refreshd.ports.sealer import Undecryptable
from refreshd.ports.store import Attempt

COLUMN = "rescued.refresh_token"
_t = rescued_token.c


def put_aside(
    connection: Connection, codec: RowCodec, attempt: Attempt, transition: Transition, *, now: datetime
) -> bool:
    """Keep the refresh token, and the access token that came with it. False when there is none to keep."""
    before, access, token = attempt.credential, transition.access, transition.refresh_token
    if token is None or transition.adopts is not None:
        return False
    connection.execute(
        insert(rescued_token).values(
            credential_id=before.id,
            family=before.family,
            generation=before.generation,
            refresh_token=codec.seal(token, COLUMN, before.id),
            access_token=codec.seal(access.value, "rescued.access_token", before.id) if access else None,
            key_id=codec.key_id,
            token_type=access.token_type if access else None,
            scope=transition.after.scope,
            issued_at=access.issued_at if access else None,
            expires_at=access.expires_at if access else None,
            rescued_at=now,
        )
    )
    return True


def newest(connection: Connection, codec: RowCodec, attempt: Attempt) -> RescuedToken | None:
    """The newest of the row's family that can be opened, unless a rotation after it has worked: that has spent it."""
    before = attempt.credential
    rows = connection.execute(
        select(rescued_token)
        .where(_t.credential_id == before.id, _t.family == before.family, _t.rescued_at >= before.rotated_at)
        .order_by(_t.rescued_at.desc(), _t.id.desc())
    )
    for row in rows.mappings():
        try:
            refresh_token = codec.open(row["refresh_token"], COLUMN, before.id)
            access = _access(row, codec, before.id) if row["access_token"] else None
        except Undecryptable:
            continue
        if refresh_token == attempt.refresh_token:
            continue
        return RescuedToken(
            id=row["id"],
            refresh_token=refresh_token,
            access=access,
            scope=row["scope"],
            rescued_at=row["rescued_at"],
        )
    return None


def _access(row: RowMapping, codec: RowCodec, row_id: str) -> AccessToken:
    return AccessToken(
        value=codec.open(row["access_token"], "rescued.access_token", row_id),
        token_type=row["token_type"],
        issued_at=row["issued_at"],
        expires_at=row["expires_at"],
    )


def spend(connection: Connection, rescued_id: int) -> None:
    """Its token stands in the row now."""
    connection.execute(delete(rescued_token).where(_t.id == rescued_id))


def forget(connection: Connection, chosen: object) -> None:
    """Erase what was put aside for credentials that are removed, or that a new login has given a new family."""
    connection.execute(delete(rescued_token).where(_t.credential_id.in_(chosen)))  # type: ignore[arg-type]  # ids, or a select of them
