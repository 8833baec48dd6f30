"""Whose store this is: its id, its environment, and the proof that we hold its keys. Checked before anything is changed."""

import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, delete, insert, select

from refreshd.adapters.sql.engine import StoreRefused
from refreshd.adapters.sql.schema import key_check, store
from refreshd.adapters.sql.sealed_columns import fingerprint_context, is_needed
from refreshd.adapters.sql.statements import insert_once
from refreshd.domain.secret import Secret
from refreshd.ports.sealer import Sealer, Undecryptable

_DIGEST = 16
_PROBE = "refreshd"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreIdentity:
    """`last_commit_at` is the clock as of the last commit: a clock behind it has stepped."""

    store_id: str
    environment: str
    fingerprint_key: Secret
    last_commit_at: datetime | None

    def fingerprint(self, token: Secret) -> bytes:
        """A keyed digest (HMAC-SHA256, 16 bytes): recognises a token, tells nothing about it."""
        key = bytes.fromhex(self.fingerprint_key.reveal())
        text = token.reveal().encode("utf-8", "surrogatepass")
        return hmac.digest(key, text, hashlib.sha256)[:_DIGEST]


def identify(connection: Connection, sealer: Sealer, *, environment: str, now: datetime) -> StoreIdentity:
    """Read the identity, or write it into a new store. Raises `StoreRefused` for a wrong or missing key or environment."""
    row = connection.execute(select(store)).mappings().first()
    if row is None:
        return _found(connection, sealer, environment=environment, now=now)
    if row["environment"] != environment:
        raise StoreRefused(
            f"the store belongs to environment {row['environment']!r}, the configuration says {environment!r}; "
            "never point one environment at another's store: both would spend the same refresh tokens"
        )
    _check_keys(connection, sealer)
    try:
        key = sealer.open(row["fingerprint_key"], fingerprint_context(environment))
    except Undecryptable as exc:
        raise StoreRefused(f"the store's own secret cannot be decrypted ({exc}); restore the right key ring") from exc
    return StoreIdentity(
        store_id=row["id"],
        environment=environment,
        fingerprint_key=key,
        last_commit_at=row["last_commit_at"],
    )


def _found(connection: Connection, sealer: Sealer, *, environment: str, now: datetime) -> StoreIdentity:
    secret = Secret(os.urandom(32).hex())
    store_id = uuid4().hex
    connection.execute(
        insert(store).values(
            id=store_id,
            environment=environment,
            fingerprint_key=sealer.seal(secret, fingerprint_context(environment)),
            created_at=now,
        )
    )
    record_key(connection, sealer)
    return StoreIdentity(store_id=store_id, environment=environment, fingerprint_key=secret, last_commit_at=None)


def _check_keys(connection: Connection, sealer: Sealer) -> None:
    """Every key that ever sealed a row here must be in the ring, with the same bytes, unless no row needs it any more."""
    known = connection.execute(select(key_check).with_for_update()).all()  # whoever just seals with one is awaited
    for key_id, sealed in known:
        try:
            sealer.open(sealed, key_id)
        except Undecryptable as exc:
            if is_needed(connection, key_id) or len(known) == 1:
                raise StoreRefused(
                    f"the key ring does not hold the store's key {key_id} ({exc}); put the right key ring at "
                    "store.encryption_key_file. Nothing was changed"
                ) from exc
            connection.execute(
                delete(key_check).where(key_check.c.key_id == key_id)
            )  # was taken out of the ring by hand
    record_key(connection, sealer)


def record_key(connection: Connection, sealer: Sealer) -> None:
    """Keep a proof of the key that seals, by which a later start knows its bytes again."""
    key_id = sealer.primary_key_id
    if not is_known(connection, key_id):
        proof = {"key_id": key_id, "sealed": sealer.seal(Secret(_PROBE), key_id)}
        connection.execute(insert_once(key_check), proof)


def is_known(connection: Connection, key_id: str) -> bool:
    """Whether rows may be sealed with it: false once it was taken out of the ring (`keys prune`), which is awaited if under way."""
    proof = select(key_check.c.key_id).where(key_check.c.key_id == key_id).with_for_update(read=True)
    return connection.execute(proof).first() is not None
