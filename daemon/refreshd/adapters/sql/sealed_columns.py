"""Every column that holds a ciphertext, and under which key each row rests. The ciphertext itself says which key that is.

Not the column `key_id`: a row may rest under two keys, when an answer brought a refresh token and no access token.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, LargeBinary, Select, Table, func, or_, select

from refreshd.adapters.sql.schema import credential, rescued_token, revocation, store
from refreshd.ports.keys import DAMAGED

_KEY_ID_AT, _KEY_ID_LENGTH = 2, 8  # behind the version byte, counted from 1


def key_of(column: Column[bytes]) -> ColumnElement[bytes]:
    """The id of the key that sealed this column."""
    return func.substr(column, _KEY_ID_AT, _KEY_ID_LENGTH, type_=LargeBinary)


@dataclass(frozen=True, slots=True)
class Place:
    """One table's sealed columns. `row_id`: what the ciphertexts are bound to; `columns`: each with its name in that binding."""

    table: Table
    row_id: str
    columns: Mapping[str, str]

    @property
    def sealed(self) -> tuple[Column[bytes], ...]:
        return tuple(self.table.c[name] for name in self.columns)

    def rests_under(self, key_id: str) -> ColumnElement[bool]:
        return or_(*(key_of(column) == key_id.encode() for column in self.sealed))

    def rests_elsewhere(self, key_id: str) -> ColumnElement[bool]:
        return or_(*(key_of(column) != key_id.encode() for column in self.sealed))  # NULL is neither

    def rows_by_key(self) -> Select[*tuple[Any, ...]]:
        """How many rows rest under each combination of keys."""
        keys = [key_of(column) for column in self.sealed]
        return select(*keys, func.count()).group_by(*keys)


PLACES = (
    Place(credential, "id", {"refresh_token": "refresh_token", "access_token": "access_token"}),
    Place(
        rescued_token,
        "credential_id",
        {"refresh_token": "rescued.refresh_token", "access_token": "rescued.access_token"},
    ),
    Place(revocation, "credential_id", {"refresh_token": "revocation.refresh_token"}),
)
STORE = Place(store, "id", {"fingerprint_key": "store.fingerprint_key"})
_BY_KEY: Sequence[Select[*tuple[Any, ...]]] = tuple(place.rows_by_key() for place in (*PLACES, STORE))


def fingerprint_context(environment: str) -> str:
    """What the store's own secret is bound to."""
    return f"{environment}\x1fstore.fingerprint_key"


def rows_by_key(connection: Connection) -> dict[str, int]:
    """Rows by the keys that sealed them, over all tables; a row under two keys counts for both. Reads every row."""
    counts: Counter[str] = Counter()
    for counting in _BY_KEY:
        for *found, number in connection.execute(counting):
            for key in {_readable(one) for one in found if one is not None}:
                counts[key] += number
    return dict(counts)


def _readable(key: bytes) -> str:
    """A damaged ciphertext names no key; what stands there must become no metric's label."""
    text = bytes(key).decode("ascii", "replace")
    return text if re.fullmatch("[0-9a-f]{8}", text) else DAMAGED


def is_needed(connection: Connection, key_id: str) -> bool:
    """Whether any row rests under this key. Reads every row when none does."""
    return any(
        connection.execute(select(place.table.c.id).where(place.rests_under(key_id)).limit(1)).first() is not None
        for place in (*PLACES, STORE)
    )
