"""Storing logins that came from outside: everything is checked first, then written in chunks that a daemon can breathe between."""

import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from refreshd.adapters.sql import new_logins
from refreshd.adapters.sql.deadlines import proven_sliding
from refreshd.adapters.sql.engine import StoreRefused
from refreshd.adapters.sql.identity import StoreIdentity, is_known
from refreshd.adapters.sql.known import Known, Stored, look_up
from refreshd.adapters.sql.repetitions import Seen
from refreshd.adapters.sql.rows import RowCodec
from refreshd.domain.credential import ClientName, CredentialId, FamilyId
from refreshd.domain.grant import Grant
from refreshd.domain.login import TokenOwned
from refreshd.domain.policy import LifetimeFrom, RefreshPolicy

CHUNK = 250
BREATH = 0.002  # between transactions, so that who waits for the store gets it
MOST_REFUSALS = 1000
MOST_NAMED = 20
TRIES = 5
T = TypeVar("T")


@dataclass(slots=True)
class Imported:
    """What an import did, or would do. `refusals`: 1-based position of the entry and why, of the first thousand.

    `paused`: how many of the replaced were paused and stay so, with the first `paused_ids` of them.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    paused: int = 0
    paused_ids: list[str] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)

    def replace(self, ids: Collection[str], *, paused: Collection[str]) -> None:
        self.replaced += len(ids)
        self.paused += len(paused)
        self.paused_ids += list(paused)[: MOST_NAMED - len(self.paused_ids)]

    def refuse(self, position: int, why: str) -> None:
        if len(self.refusals) < MOST_REFUSALS:
            self.refusals.append((position, why))


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """How a client's credentials are treated, and the scope it asks for."""

    policy: RefreshPolicy
    scope: str


class Importer:
    """Writes grants of configured clients. `draw`: chance in [0, 1), once per stored token."""

    def __init__(
        self,
        engine: Engine,
        codec: RowCodec,
        identity: StoreIdentity,
        registered: Mapping[ClientName, Registered],
        *,
        draw: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._codec = codec
        self._identity = identity
        self._registered = registered
        self._draw = draw

    def check(self, grants: Iterable[Grant], *, replace: bool) -> Imported:
        """What `write` would do; refuses ids that exist (without `replace`) and refresh tokens of other ids.

        `grants` are gone through once, and again if something in them stands twice.
        """
        result, seen = Imported(), Seen()
        position = 0
        with self._engine.connect() as connection:
            for chunk in _chunks(grants):
                digests = self._digests(chunk)
                known = self._known(connection, chunk, digests)
                for grant, digest in zip(chunk, digests, strict=True):
                    position += 1
                    seen.add(*_keys(grant, digest))
                    if refusal := known.refusal(grant, digest, replace=replace):
                        result.refuse(position, refusal)
                    else:
                        self._count(result, grant, digest, known)
        if twice := seen.twice():
            self._refuse_repeated(grants, twice, result)
        return result

    def _refuse_repeated(self, grants: Iterable[Grant], twice: Collection[int], result: Imported) -> None:
        first_seen: dict[object, int] = {}
        for position, grant in enumerate(grants, start=1):
            digest = self._digest(grant)
            for what, key in (("id", grant.id), ("refresh token", digest)):
                if key is None or hash(key) not in twice:
                    continue
                first = first_seen.setdefault(key, position)
                if first != position:
                    result.refuse(position, f"the same {what} stands in entry {first}")

    def write(
        self, grants: Iterable[Grant], *, replace: bool, now: datetime, progress: Callable[[int], None]
    ) -> Imported:
        """Store them, a transaction a chunk; what is stored already is skipped, so an interrupted import may be run again.

        Rows are made before the transaction begins: while it lasts, no answer of a running daemon can be stored.
        """
        result = Imported()
        for chunk in _chunks(grants):
            rows = self._write_chunk(chunk, replace=replace, now=now)
            result.added += len(rows.added)
            ids = [row["id"] for row in rows.replaced]
            result.replace(ids, paused=[name for name in ids if rows.known.counters[name].paused])
            result.unchanged += len(chunk) - len(rows.added) - len(rows.replaced)
            progress(len(chunk))
            time.sleep(BREATH)
        return result

    def _write_chunk(self, chunk: Sequence[Grant], *, replace: bool, now: datetime) -> "_Rows":
        digests = self._digests(chunk)
        for _ in range(TRIES):
            rows = self._rows(chunk, digests, replace=replace, now=now)
            # another import may add the same ids or tokens after the look, where several can write at once
            with suppress(IntegrityError), self._engine.begin() as connection:
                if not is_known(connection, self._codec.key_id):
                    raise StoreRefused("the key ring was changed while this ran; run it again, it skips what is stored")
                if self._known(connection, chunk, digests, lock=True) == rows.known:
                    new_logins.put(connection, added=rows.added, replaced=rows.replaced, prints=rows.prints)
                    return rows
        raise StoreRefused("the store changes too fast under this import; run it again, it skips what is stored")

    def take_over(
        self, connection: Connection, grant: Grant, *, now: datetime, family: FamilyId | None = None
    ) -> FamilyId | TokenOwned:
        """Store a login that was made just now, whatever stands under its id. `family`: the one that it began.

        A provider that hands out the same refresh token again has still made a new login: flags go, the generation goes on.
        """
        if owned := self.owned(connection, grant):
            return owned
        digest = self._digest(grant)
        known = self._known(connection, [grant], [digest], lock=True)
        existing = known.counters.get(grant.id)
        row = self._row(grant, existing, proven=proven_sliding(connection), now=now)
        row["family"] = family or row["family"]
        new = digest is not None and digest not in known.owners
        prints = [{"digest": digest, "credential_id": grant.id, "seen_at": now}] if new else []
        new_logins.put(connection, added=[] if existing else [row], replaced=[row] if existing else [], prints=prints)
        return FamilyId(row["family"])

    def owned(self, connection: Connection, grant: Grant) -> TokenOwned | None:
        """Whether this refresh token was ever another credential's."""
        digest = self._digest(grant)
        owner = self._known(connection, [grant], [digest]).owners.get(digest) if digest else None
        return None if owner is None or owner == grant.id else TokenOwned(owner=CredentialId(owner))

    def _rows(
        self, chunk: Sequence[Grant], digests: Sequence[bytes | None], *, replace: bool, now: datetime
    ) -> "_Rows":
        with self._engine.connect() as connection:
            known = self._known(connection, chunk, digests)
            proven = proven_sliding(connection)
        added: list[dict[str, Any]] = []
        replaced: list[dict[str, Any]] = []
        prints: list[dict[str, Any]] = []
        for grant, digest in zip(chunk, digests, strict=True):
            if known.refusal(grant, digest, replace=replace) or known.holds(grant, digest):
                continue
            row = self._row(grant, known.counters.get(grant.id), proven=proven, now=now)
            if digest is not None:
                prints.append({"digest": digest, "credential_id": grant.id, "seen_at": now})
            (replaced if grant.id in known.counters else added).append(row)
        return _Rows(known=known, added=added, replaced=replaced, prints=prints)

    def _row(self, grant: Grant, existing: Stored | None, *, proven: Collection[str], now: datetime) -> dict[str, Any]:
        one = self._registered[grant.client]
        policy = one.policy
        if grant.client in proven:
            policy = dataclasses.replace(policy, lifetime_from=LifetimeFrom.ROTATION)
        return new_logins.row_of(
            grant, existing, codec=self._codec, policy=policy, scope=one.scope, now=now, draw=self._draw
        )

    def _digests(self, chunk: Sequence[Grant]) -> list[bytes | None]:
        return [self._digest(grant) for grant in chunk]

    def _digest(self, grant: Grant) -> bytes | None:
        return self._identity.fingerprint(grant.refresh_token) if grant.refresh_token else None

    @staticmethod
    def _known(
        connection: Connection, chunk: Sequence[Grant], digests: Sequence[bytes | None], *, lock: bool = False
    ) -> Known:
        ours = [digest for digest in digests if digest is not None]
        return look_up(connection, ids=[one.id for one in chunk], digests=ours, lock=lock)

    @staticmethod
    def _count(result: Imported, grant: Grant, digest: bytes | None, known: Known) -> None:
        if known.holds(grant, digest):
            result.unchanged += 1
        elif grant.id in known.counters:
            result.replaced += 1
        else:
            result.added += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """What a chunk comes to, if the store is still as `known` says."""

    known: Known
    added: Sequence[Mapping[str, Any]]
    replaced: Sequence[Mapping[str, Any]]
    prints: Sequence[Mapping[str, Any]]


def _keys(grant: Grant, digest: bytes | None) -> tuple[object, ...]:
    return (grant.id,) if digest is None else (grant.id, digest)


def _chunks(items: Iterable[T]) -> Iterator[Sequence[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
