"""What the store knows already of logins that are about to be stored: the rows of their ids, the owners of their tokens."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from refreshd.adapters.sql import statements
from refreshd.adapters.sql.schema import credential, fingerprint
from refreshd.domain.credential import Health
from refreshd.domain.grant import Grant

c = credential.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A row. `removed`: only its counters are left. `no_login`: it is its client's own."""

    client: str
    generation: int
    revision: int
    health: str
    paused: bool
    removed: bool
    no_login: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """`owners`: the id that each refresh token, by its digest, was ever stored under. `counters`: rows by id."""

    owners: Mapping[bytes, str]
    counters: Mapping[str, Stored]

    def holds(self, grant: Grant, digest: bytes | None) -> bool:
        """Whether nothing would change: this refresh token is this row's, or the row has no login, needs none and is well."""
        if digest is not None:
            return self.owners.get(digest) == grant.id
        there = self.counters.get(grant.id)
        healthy = there is not None and not there.removed and there.health == Health.ACTIVE
        return there is not None and healthy and there.no_login and there.client == grant.client

    def refusal(self, grant: Grant, digest: bytes | None, *, replace: bool) -> str | None:
        """Why this login may not be stored, in words for whoever imports it; `replace`: over an id that exists it may."""
        if self.holds(grant, digest):
            return None
        owner = self.owners.get(digest) if digest else None
        if owner is not None and owner != grant.id:
            return (
                f"{grant.id}: this refresh token already belongs to {owner}; a refresh token has one owner. "
                "Log in again for a second credential"
            )
        existing = self.counters.get(grant.id)
        if existing is not None and not existing.removed and not replace:
            return f"{grant.id} exists; if a person logged in again, add --replace"
        return None


def look_up(connection: Connection, *, ids: Collection[str], digests: Collection[bytes], lock: bool = False) -> Known:
    """`lock`: what is found stays so until the transaction ends."""
    columns = (c.id, c.client, c.generation, c.revision, c.health, c.paused, c.removed_at)
    query = select(*columns, statements.NO_LOGIN.label("no_login")).where(c.id.in_(ids)).order_by(c.id)
    rows = connection.execute(query.with_for_update() if lock else query).all()
    owners = connection.execute(
        select(fingerprint.c.digest, fingerprint.c.credential_id).where(fingerprint.c.digest.in_(digests))
    ).all()  # behind the lock: a removal that was awaited has taken its own
    return Known(
        owners={row.digest: row.credential_id for row in owners},
        counters={
            row.id: Stored(
                client=row.client,
                generation=row.generation,
                revision=row.revision,
                health=row.health,
                paused=bool(row.paused),
                removed=row.removed_at is not None,
                no_login=bool(row.no_login),
            )
            for row in rows
        },
    )
