"""Refresh tokens that are to be revoked: written by commands and late answers, worked off by the daemon."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, delete, func, insert, or_, select, update

from refreshd.adapters.sql import rescue
from refreshd.adapters.sql.engine import StoreRefused
from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.schema import credential, rescued_token, revocation
from refreshd.adapters.sql.thread import StoreThreads
from refreshd.domain.credential import ClientName, CredentialId, FamilyId
from refreshd.domain.secret import Secret
from refreshd.ports.revocation import Revocation
from refreshd.ports.sealer import Undecryptable

COLUMN = "revocation.refresh_token"
GIVEN_UP_AFTER = timedelta(days=1)
"""How long what rests under a key that is not there waits for it."""
r = revocation.c
_WAITING = r.refresh_token.is_not(None)


def enqueue(
    connection: Connection,
    codec: RowCodec,
    *,
    credential_id: str,
    client: str,
    token: Secret,
    now: datetime,
    family: FamilyId | str | None = None,
    not_before: datetime | None = None,
) -> None:
    """Have the daemon revoke this token. `family`: late answers of that family are revoked, too."""
    connection.execute(
        insert(revocation).values(
            credential_id=credential_id,
            client=client,
            family=family,
            refresh_token=codec.seal(token, COLUMN, credential_id),
            key_id=codec.key_id,
            asked_at=now,
            next_attempt_at=max(now, not_before) if not_before else now,
        )
    )


def enqueue_chosen(connection: Connection, codec: RowCodec, where: ColumnElement[bool], *, now: datetime) -> int:
    """All refresh tokens of these credentials, what was put aside for them included; before they are removed.

    While an attempt is open, its token waits until its lease has run out: presented now it would look like theft, and the
    answer may bring a newer one. An answer that is just being stored is awaited, and one that comes later finds the row removed.
    Raises `StoreRefused` when one cannot be read.
    """
    count = 0
    chosen = select(credential).where(where).order_by(credential.c.id).with_for_update()
    for row in connection.execute(chosen).mappings().all():
        tokens = [_opened(codec, row, one, name) for one, name in _sealed_tokens(connection, row)]
        for token in dict.fromkeys(tokens):
            enqueue(
                connection,
                codec,
                credential_id=row["id"],
                client=row["client"],
                token=token,
                now=now,
                family=row["family"],
                not_before=row["lease_until"] if row["attempt_id"] else None,
            )
        count += len(set(tokens))
    return count


def _sealed_tokens(connection: Connection, row: RowMapping) -> list[tuple[bytes, str]]:
    aside = connection.scalars(
        select(rescued_token.c.refresh_token).where(rescued_token.c.credential_id == row["id"])
    ).all()
    own = [(row["refresh_token"], "refresh_token")] if row["refresh_token"] is not None else []
    return own + [(blob, rescue.COLUMN) for blob in aside]


def _opened(codec: RowCodec, row: RowMapping, blob: bytes, name: str) -> Secret:
    try:
        return codec.open(blob, name, row["id"])
    except Undecryptable as exc:
        raise StoreRefused(
            f"a refresh token of {row['id']} cannot be read ({exc}), so it cannot be revoked; nothing was removed. "
            "Without --revoke it can be removed"
        ) from exc


def take_late_answer(
    connection: Connection, codec: RowCodec, credential_id: str, family: str, token: Secret | None, *, now: datetime
) -> bool:
    """An attempt of a removed family has ended: what waits for that is due, and so is a token that it brought.

    False when nobody asked for that family to be revoked.
    """
    of_family = (r.credential_id == credential_id) & (r.family == family)
    asked = connection.execute(select(r.client, r.asked_at).where(of_family).order_by(r.id)).first()
    if asked is None:
        return False
    connection.execute(
        update(revocation)
        .where(of_family, _WAITING, r.failures == 0, r.next_attempt_at > now)
        .values(next_attempt_at=now)
    )
    if token is not None:
        connection.execute(
            insert(revocation).values(
                credential_id=credential_id,
                client=asked.client,
                family=family,
                refresh_token=codec.seal(token, COLUMN, credential_id),
                key_id=codec.key_id,
                asked_at=asked.asked_at,
                next_attempt_at=now,
            )
        )
    return True


def left(engine: Engine, *, asked_at: datetime) -> tuple[int, list[str]]:
    """Of what one command asked for: how many still wait, and why others were given up."""
    with engine.begin() as connection:
        rows = connection.execute(select(r.refresh_token.is_not(None), r.last_code).where(r.asked_at == asked_at)).all()
    return sum(1 for waits, _ in rows if waits), [code or "unknown" for waits, code in rows if not waits]


class SqlRevocations:
    """`Revocations` on the store's threads."""

    def __init__(self, threads: StoreThreads, codec: RowCodec) -> None:
        self._threads = threads
        self._codec = codec

    async def due(self, client: ClientName, *, now: datetime, limit: int) -> Sequence[Revocation]:
        return await self._read(r.client == client, now, limit)

    async def orphans(self, clients: Sequence[ClientName], *, now: datetime, limit: int) -> Sequence[Revocation]:
        return await self._read(r.client.not_in(clients), now, limit)

    async def done(self, one: Revocation) -> None:
        statement = delete(revocation).where(r.id == one.id)
        await self._threads.writer.run(lambda connection: connection.execute(statement))

    async def put_off(self, one: Revocation, *, code: str, until: datetime) -> None:
        statement = (
            update(revocation)
            .where(r.id == one.id)
            .values(next_attempt_at=until, failures=r.failures + 1, last_code=code)
        )
        await self._threads.writer.run(lambda connection: connection.execute(statement))

    async def give_up(self, one: Revocation, *, code: str, now: datetime) -> None:
        statement = (
            update(revocation)
            .where(r.id == one.id)
            .values(refresh_token=None, key_id=None, next_attempt_at=now, last_code=code)
        )
        await self._threads.writer.run(lambda connection: connection.execute(statement))

    async def pending(self) -> Mapping[ClientName, int]:
        query = select(r.client, func.count()).where(_WAITING).group_by(r.client)
        rows = await self._threads.reader.run(lambda connection: connection.execute(query).all())
        return {ClientName(client): number for client, number in rows}

    async def forget_given_up(self, *, before: datetime) -> None:
        statement = delete(revocation).where(r.refresh_token.is_(None), r.next_attempt_at < before)
        await self._threads.writer.run(lambda connection: connection.execute(statement))

    async def _read(self, of_client: ColumnElement[bool], now: datetime, limit: int) -> Sequence[Revocation]:
        readable = or_(r.key_id.in_(self._codec.key_ids), r.asked_at <= now - GIVEN_UP_AFTER)
        query = select(revocation).where(of_client, _WAITING, r.next_attempt_at <= now, readable)
        query = query.order_by(r.next_attempt_at, r.id).limit(limit)
        rows = await self._threads.reader.run(lambda connection: connection.execute(query).mappings().all())
        return [self._revocation(row) for row in rows]

    def _revocation(self, row: RowMapping) -> Revocation:
        token = None
        with suppress(Undecryptable):  # given up by whoever wants to send it
            token = self._codec.open(row["refresh_token"], COLUMN, row["credential_id"])
        return Revocation(
            id=row["id"],
            credential_id=CredentialId(row["credential_id"]),
            client=ClientName(row["client"]),
            token=token,
            asked_at=row["asked_at"],
            failures=row["failures"],
        )
