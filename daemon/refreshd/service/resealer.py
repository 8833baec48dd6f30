"""Moving everything that is stored to the key ring's first key, slowly, beside the refreshing, which always goes first."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from refreshd.domain.events import (
    Event,
    FiguresTaken,
    HoldsReleased,
    KeyRingRefused,
    KeyRowsCounted,
    KeysMissing,
    KeyTakenUp,
    KeyWaits,
    MissingKeysCounted,
    RowsResealed,
    RowsUnreadable,
)
from refreshd.ports.keys import DAMAGED, Cursor, KeyRing, SealedRows, Sealing
from refreshd.ports.observer import Observer
from refreshd.service.rounds import Rounds

BATCH = 50
PAUSE = 0.03  # between batches: at most some 1,500 rows a second, and most of the store's time is left to others
YIELD = 0.02  # seconds to wait while answers are being stored
MOST_YIELDS = 25  # under endless load it goes on nevertheless, twice a second


class Resealer(Rounds):
    """`tick` is called every second. `busy`: whether answers wait for the store. `pause`: sleeps so many seconds."""

    def __init__(
        self,
        *,
        ring: KeyRing,
        rows: SealedRows,
        observer: Observer,
        busy: Callable[[], bool] = lambda: False,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(doing="resealing", observer=observer)
        self._ring = ring
        self._rows = rows
        self._busy = busy
        self._pause = pause
        self._sealing_with = self._moved_to = ""  # key ids
        self._fault = ""
        self._unreadable = 0
        self._rows_left = False
        self._waiting = Sealing(key_id="")
        self._known: frozenset[str] = frozenset()
        self._counted: Mapping[str, int] | None = None

    async def round(self) -> None:
        """Look at the ring; move rows when it changed, and when some were counted under an older key."""
        await self.take_up()
        await self._release()
        self._tell_missing()
        changed = self._sealing_with != self._moved_to
        if (changed or self._rows_left) and not self._waiting.lacking:
            self._rows_left = False
            await self.move_all()
            self._moved_to = self._sealing_with

    def on_event(self, event: Event) -> None:
        """The count of each minute shows rows under an older key: a command that began before the change may have sealed them."""
        if isinstance(event, FiguresTaken):
            self._counted = event.figures.rows_by_key
            self._rows_left = any(count for key, count in self._counted.items() if key != self._sealing_with)

    async def take_up(self) -> None:
        """Seal with the ring's first key, if it is a new one and every daemon on this store has it."""
        looked = self._ring.look()
        if looked.fault and looked.fault != self._fault:
            self._observer.on_event(KeyRingRefused(error=looked.fault))
        self._fault = looked.fault
        if looked.first == self._sealing_with:
            self._waiting = Sealing(key_id="")
            return
        sealing = await self._rows.take_up(looked.first)
        if sealing.lacking and sealing != self._waiting:
            self._observer.on_event(KeyWaits(key_id=looked.first, lacking=sealing.lacking))
        self._waiting = sealing
        if sealing.lacking:
            self._sealing_with = sealing.key_id if sealing.key_id != looked.first else ""
            return
        if self._sealing_with:
            self._observer.on_event(KeyTakenUp(key_id=looked.first))
        self._sealing_with = looked.first

    async def move_all(self) -> None:
        """Pass over all rows until nothing is left to move. Raises `StoreUnavailable`; what was moved stays moved."""
        key_id = self._sealing_with
        moved = outrun = 0
        while True:
            passed = await self._pass()
            moved += passed.moved
            outrun += passed.outrun
            if not passed.moved and not passed.outrun:
                break
        self._tell_unreadable(passed.unreadable)
        if moved:
            self._observer.on_event(RowsResealed(key_id=key_id, moved=moved, outrun=outrun))
        await self._count()

    async def _release(self) -> None:
        """A ring that has gained a key may open what was held for the lack of it."""
        known = frozenset(self._ring.key_ids)
        if known == self._known:
            return
        if count := await self._rows.release():
            self._observer.on_event(HoldsReleased(count=count))
        self._known = known

    def _tell_missing(self) -> None:
        """Say which keys are missing, once for each count of the rows."""
        if self._counted is None:
            return
        counted, self._counted = self._counted, None
        missing = {key: rows for key, rows in counted.items() if rows and key not in (*self._ring.key_ids, DAMAGED)}
        self._observer.on_event(MissingKeysCounted(rows=sum(missing.values())))
        if missing:
            self._observer.on_event(KeysMissing(rows_by_key=missing))

    async def _pass(self) -> "_Passed":
        passed = _Passed()
        cursor: Cursor | None = Cursor()
        while cursor is not None:
            await self._give_way()
            batch = await self._rows.reseal(cursor, limit=BATCH)
            passed.moved += batch.moved
            passed.outrun += batch.outrun
            passed.unreadable += batch.unreadable
            if batch.moved or batch.outrun:
                await self._pause(PAUSE)
            cursor = batch.rest
        return passed

    async def _give_way(self) -> None:
        for _ in range(MOST_YIELDS):
            if not self._busy():
                return
            await self._pause(YIELD)

    def _tell_unreadable(self, count: int) -> None:
        if count and count != self._unreadable:
            self._observer.on_event(RowsUnreadable(count=count))
        self._unreadable = count

    async def _count(self) -> None:
        found = await self._rows.rows_by_key()
        rows = {**dict.fromkeys(self._ring.key_ids, 0), **found}
        self._observer.on_event(KeyRowsCounted(rows_by_key=rows))


class _Passed:
    """Ciphertexts of one pass over all rows, counted as in `Batch`."""

    def __init__(self) -> None:
        self.moved = 0
        self.outrun = 0
        self.unreadable = 0
