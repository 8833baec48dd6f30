"""What providers published about themselves, kept so that a start needs no provider."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from refreshd.adapters.sql.schema import provider_metadata
from refreshd.adapters.sql.statements import insert_once

_t = provider_metadata.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    document: str
    fetched_at: datetime


def cached(connection: Connection, issuer: str) -> Cached | None:
    row = connection.execute(select(_t.document, _t.fetched_at).where(_t.issuer == issuer)).first()
    return Cached(document=row.document, fetched_at=row.fetched_at) if row else None


def keep(connection: Connection, issuer: str, document: str, now: datetime) -> None:
    """The newest document of an issuer takes the place of the one before."""
    row = {"issuer": issuer, "document": document, "fetched_at": now}
    connection.execute(insert_once(provider_metadata), row)
    connection.execute(update(provider_metadata).where(_t.issuer == issuer).values(row))
