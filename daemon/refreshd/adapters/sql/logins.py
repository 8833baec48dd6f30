"""`Logins` beside a running daemon: what `login` writes. The daemon sees a new generation at its next look and publishes it."""

from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Self
from uuid import uuid4

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from refreshd.adapters.sql import revocations
from refreshd.adapters.sql.identity import is_known
from refreshd.adapters.sql.importer import Importer
from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.schema import credential, rescued_token
from refreshd.adapters.sql.statements import SIGN_OF_LIFE
from refreshd.adapters.sql.thread import StoreThread
from refreshd.domain.credential import ClientName, CredentialId, FamilyId
from refreshd.domain.grant import Grant
from refreshd.domain.login import Fate, Finish, TokenOwned
from refreshd.domain.secret import Secret
from refreshd.ports.logins import Aside, Standing
from refreshd.ports.sealer import Undecryptable
from refreshd.ports.store import StoreUnavailable

c = credential.c
_t = rescued_token.c


class SqlLogins:
    """A login that waits for its account to be checked lies among the rescued tokens, under the family that its row will have.

    Who deletes it from there may act on it, and nobody else: two commands can have it in hand at once.
    """

    def __init__(self, writer: StoreThread, importer: Importer, codec: RowCodec) -> None:
        self._writer = writer
        self._importer = importer
        self._codec = codec

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def prepare(self, credential_id: CredentialId, *, now: datetime) -> Standing:
        def work(connection: Connection) -> Standing:
            connection.execute(SIGN_OF_LIFE, {"at": now})
            if not is_known(connection, self._codec.key_id):
                raise StoreUnavailable("its encryption key was retired meanwhile")
            self._codec.seal(Secret("refreshd"), "refresh_token", credential_id)
            row = (
                connection.execute(select(credential).where(c.id == credential_id, c.removed_at.is_(None)))
                .mappings()
                .first()
            )
            aside = self._aside(connection, credential_id)
            if row is None:
                return Standing(aside=aside)
            return Standing(
                client=ClientName(row["client"]), account=row["account"], paused=bool(row["paused"]), aside=aside
            )

        return await self._writer.run(work)

    async def take_over(self, grant: Grant, *, now: datetime) -> FamilyId | TokenOwned:
        return await self._writer.run(lambda connection: self._importer.take_over(connection, grant, now=now))

    async def set_aside(self, grant: Grant, *, now: datetime) -> FamilyId | TokenOwned:
        return await self._writer.run(lambda connection: self._put_aside(connection, grant, now))

    async def finish(self, aside: Aside, *, account: str | None, now: datetime) -> Finish | TokenOwned:
        def work(connection: Connection) -> Finish | TokenOwned:
            if not _take(connection, aside):
                standing = select(c.family).where(c.id == aside.grant.id, c.removed_at.is_(None))
                return Finish.STORED_BEFORE if connection.scalar(standing) == aside.family else Finish.GONE
            grant = replace(aside.grant, account=account)
            taken = self._importer.take_over(connection, grant, now=now, family=aside.family)
            return taken if isinstance(taken, TokenOwned) else Finish.STORED

        return await self._writer.run(work)

    async def refuse(self, aside: Aside, *, account: str, revocable: bool, now: datetime) -> Fate | None:
        def work(connection: Connection) -> Fate | None:
            grant = aside.grant
            if not _take(connection, aside):
                return None
            others = select(c.id).where(c.account == account, c.removed_at.is_(None)).limit(1)
            if not revocable:
                return Fate.NO_ENDPOINT
            if connection.execute(others).first() is not None:
                return Fate.SHARED
            if grant.refresh_token is not None:
                revocations.enqueue(
                    connection,
                    self._codec,
                    credential_id=grant.id,
                    client=grant.client,
                    token=grant.refresh_token,
                    now=now,
                )
            return Fate.QUEUED

        return await self._writer.run(work)

    async def bind(self, credential_id: CredentialId, family: FamilyId, account: str) -> None:
        def work(connection: Connection) -> None:
            connection.execute(
                update(credential).where(c.id == credential_id, c.family == family).values(account=account)
            )

        await self._writer.run(work)

    def _put_aside(self, connection: Connection, grant: Grant, now: datetime) -> FamilyId | TokenOwned:
        if owned := self._importer.owned(connection, grant):
            return owned
        if grant.refresh_token is None:
            raise ValueError("a login without a refresh token is refused before it comes here")
        family, seal = FamilyId(uuid4().hex), self._codec.seal
        connection.execute(
            insert(rescued_token).values(
                credential_id=grant.id,
                client=grant.client,
                family=family,
                generation=0,
                refresh_token=seal(grant.refresh_token, "rescued.refresh_token", grant.id),
                access_token=seal(grant.access_token, "rescued.access_token", grant.id) if grant.access_token else None,
                key_id=self._codec.key_id,
                token_type=grant.token_type,
                scope=grant.scope or "",
                issued_at=grant.issued_at,
                expires_at=grant.expires_at,
                rescued_at=now,
            )
        )
        return family

    def _aside(self, connection: Connection, credential_id: CredentialId) -> Aside | None:
        """The newest that can be opened."""
        rows = connection.execute(
            select(rescued_token)
            .where(_t.credential_id == credential_id, _t.client.is_not(None))
            .order_by(_t.rescued_at.desc(), _t.id.desc())
        )
        for row in rows.mappings():
            try:
                return Aside(family=FamilyId(row["family"]), grant=self._grant(row))
            except Undecryptable:
                continue
        return None

    def _grant(self, row: RowMapping) -> Grant:
        name, access = row["credential_id"], row["access_token"]
        return Grant(
            id=CredentialId(name),
            client=ClientName(row["client"]),
            refresh_token=self._codec.open(row["refresh_token"], "rescued.refresh_token", name),
            access_token=self._codec.open(access, "rescued.access_token", name) if access else None,
            token_type=row["token_type"],
            scope=row["scope"] or None,
            issued_at=row["issued_at"],
            expires_at=row["expires_at"],
            login_at=row["issued_at"],
        )


def _take(connection: Connection, aside: Aside) -> bool:
    """Take it from among the rescued tokens; False when somebody else did."""
    taken = connection.execute(delete(rescued_token).where(_t.family == aside.family, _t.client.is_not(None)))
    return taken.rowcount > 0
