"""Moving ciphertexts to another key beside a working daemon: read, seal anew, and write only where nothing has changed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, RowMapping, bindparam, select, update

from refreshd.adapters.sql import holds
from refreshd.adapters.sql.engines import Engines
from refreshd.adapters.sql.identity import record_key
from refreshd.adapters.sql.replicas import lacking
from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.schema import store
from refreshd.adapters.sql.sealed_columns import PLACES, STORE, Place, fingerprint_context, rows_by_key
from refreshd.adapters.sql.thread import StoreThreads
from refreshd.ports.clock import Clock
from refreshd.ports.keys import Batch, Cursor, Sealing
from refreshd.ports.sealer import SelectableSealer, Undecryptable

_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One ciphertext, before and after."""

    column: str
    id: str | int
    old: bytes
    new: bytes


class SqlSealedRows:
    """`SealedRows` on the store's own threads: rows are read and sealed beside the writing thread, which only compares."""

    def __init__(
        self,
        threads: StoreThreads,
        codec: RowCodec,
        sealer: SelectableSealer,
        environment: str,
        *,
        clock: Clock,
        engines: Engines,
        owner: str,
    ) -> None:
        """`owner`: this process among the daemons on a database that several share."""
        self._clock = clock
        self._engines = engines
        self._owner = owner
        self._threads = threads
        self._codec = codec
        self._sealer = sealer
        self._environment = environment

    async def take_up(self, key_id: str) -> Sealing:
        def work(connection: Connection) -> Sealing:  # on the thread that commits answers: none is sealed meanwhile
            others = connection.scalar(select(store.c.daemon_key_id))
            if without := self._lacking(connection, key_id) if others != key_id else 0:
                if others in self._sealer.key_ids:
                    self._sealer.seal_with(str(others))
                return Sealing(key_id=self._sealer.primary_key_id, lacking=without)
            self._sealer.seal_with(key_id)
            record_key(connection, self._sealer)
            connection.execute(update(store).values(daemon_key_id=key_id))
            return Sealing(key_id=key_id)

        return await self._threads.writer.run(work)

    def _lacking(self, connection: Connection, key_id: str) -> int:
        found = self._engines.time(connection)
        return lacking(connection, found.at, key_id, but=self._owner) if found else 0

    async def release(self) -> int:
        count = 0
        after: str | None = ""
        while after is not None:
            now = self._clock.now()
            free = partial(holds.free_readable, codec=self._codec, now=now, after=after, limit=_AT_ONCE)
            freed, after = await self._threads.writer.run(free)
            count += freed
        return count

    async def reseal(self, begin: Cursor, *, limit: int) -> Batch:
        places = (*PLACES, STORE)
        place, key_id = places[begin.place], self._codec.key_id
        rows = await self._threads.counter.run(lambda connection: _resting(connection, place, key_id, begin, limit))
        moves, unreadable = self._sealed_anew(place, rows)
        moved = 0
        if moves:
            moved = await self._threads.writer.run(lambda connection: _swap(connection, place, moves, key_id))
        rest: Cursor | None = Cursor(place=begin.place + 1) if begin.place + 1 < len(places) else None
        if len(rows) == limit:
            rest = Cursor(place=begin.place, after=rows[-1]["id"])
        return Batch(moved=moved, outrun=len(moves) - moved, unreadable=unreadable, rest=rest)

    async def rows_by_key(self) -> Mapping[str, int]:
        return await self._threads.counter.run(rows_by_key)

    def _sealed_anew(self, place: Place, rows: Sequence[RowMapping]) -> tuple[list[Move], int]:
        moves: list[Move] = []
        unreadable = 0
        for row in rows:
            for column, name in place.columns.items():
                old = row[column]
                if old is None:
                    continue
                try:
                    new = self._anew(place, old, name, row[place.row_id])
                except Undecryptable:
                    unreadable += 1
                    continue
                moves.append(Move(column=column, id=row["id"], old=old, new=new))
        return moves, unreadable

    def _anew(self, place: Place, old: bytes, name: str, row_id: str) -> bytes:
        if place is STORE:
            context = fingerprint_context(self._environment)
            return self._sealer.seal(self._sealer.open(old, context), context)
        return self._codec.seal(self._codec.open(old, name, row_id), name, row_id)


def _resting(connection: Connection, place: Place, key_id: str, begin: Cursor, limit: int) -> Sequence[RowMapping]:
    """The next rows of which anything rests under another key; with that key's columns all others of the row."""
    c = place.table.c
    query = select(c.id, c[place.row_id], *place.sealed).where(place.rests_elsewhere(key_id)).order_by(c.id)
    if begin.after is not None:
        query = query.where(c.id > begin.after)
    return connection.execute(query.limit(limit)).mappings().all()


def _swap(connection: Connection, place: Place, moves: Sequence[Move], key_id: str) -> int:
    """How many were written. A ciphertext holds a random nonce, so the same bytes mean that nobody wrote in between."""
    by_column: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for move in moves:
        by_column[move.column].append({"b_id": move.id, "b_old": move.old, "b_new": move.new})
    written = 0
    for column, values in by_column.items():
        c = place.table.c[column]
        extra = {"key_id": key_id} if column == "refresh_token" else {}
        statement = (
            update(place.table)
            .where(place.table.c.id == bindparam("b_id"), c == bindparam("b_old", type_=c.type))
            .values({column: bindparam("b_new", type_=c.type), **extra})
        )
        written += cast("CursorResult[Any]", connection.execute(statement, values)).rowcount  # an UPDATE returns one
    return written
