"""When rows are moved to another key, how politely, and what is told of it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.key_ring_editing import add_key
from refreshd.domain.events import FiguresTaken, KeyRowsCounted, MissingKeysCounted, RowsResealed
from refreshd.domain.figures import Figures
from refreshd.ports.keys import Batch, Cursor, Looked, Sealing
from refreshd.ports.store import StoreUnavailable
from refreshd.service.resealer import MOST_YIELDS, Resealer
from tests.contract.stores import SqliteBed, grant
from tests.contract.test_resealing import rows_of
from tests.fakes import RecordingObserver


class Pauses:
    """Sleeps that pass at once."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, _seconds: float) -> None:
        self.count += 1


class Ring:
    """`KeyRing` by word."""

    def __init__(self) -> None:
        self.key_ids: Sequence[str] = ("old",)
        self.looked = Looked(first="old")

    def look(self) -> Looked:
        return self.looked


class Rows:
    """`SealedRows` that answers with the batches given, then with an end."""

    def __init__(self, *batches: Batch) -> None:
        self.batches = list(batches)
        self.taken_up: list[str] = []
        self.asked = 0
        self.down = False
        self.lacking = self.held = self.released = 0

    async def take_up(self, key_id: str) -> Sealing:
        if self.down:
            raise StoreUnavailable("full")
        if self.lacking:
            return Sealing(key_id="old", lacking=self.lacking)
        self.taken_up.append(key_id)
        return Sealing(key_id=key_id)

    async def release(self) -> int:
        self.released += 1
        return self.held

    async def reseal(self, begin: Cursor, *, limit: int) -> Batch:
        del begin, limit
        self.asked += 1
        return self.batches.pop(0) if self.batches else batch()

    async def rows_by_key(self) -> Mapping[str, int]:
        return {"old": 3}


def batch(moved: int = 0, outrun: int = 0, unreadable: int = 0) -> Batch:
    return Batch(moved=moved, outrun=outrun, unreadable=unreadable, rest=None)


def counted(**rows: int) -> FiguresTaken:
    figures = Figures(clients={}, due=0, overdue=timedelta(0), publish_pending=0, rows_by_key=rows, last_commit_at=None)
    return FiguresTaken(figures=figures)


class Bench:
    def __init__(self, *batches: Batch) -> None:
        self.ring = Ring()
        self.rows = Rows(*batches)
        self.observer = RecordingObserver()
        self.pauses = Pauses()
        self.is_busy = False
        self.resealer = Resealer(
            ring=self.ring,
            rows=self.rows,
            observer=self.observer,
            busy=lambda: self.is_busy,
            pause=self.pauses,
        )


async def test_passes_go_on_until_one_finds_nothing() -> None:
    """What a commit had replaced in between is looked at again: it may have been sealed by an older hand."""
    bench = Bench(batch(moved=5), batch(outrun=1), batch())
    await bench.resealer.round()
    assert 3 == bench.rows.asked
    told = [event for event in bench.observer.events if isinstance(event, RowsResealed)]
    assert [(5, 1)] == [(event.moved, event.outrun) for event in told]


async def test_without_news_it_moves_what_was_counted_under_an_older_key() -> None:
    """A command that began before the rotation may have sealed with the old key after it."""
    bench = Bench()
    await bench.resealer.round()
    bench.resealer.on_event(counted(old=3))
    await bench.resealer.round()
    assert 1 == bench.rows.asked
    bench.resealer.on_event(counted(old=2, older=1))
    await bench.resealer.round()
    await bench.resealer.round()
    assert 2 == bench.rows.asked


async def test_a_new_key_is_taken_up_at_once_and_told() -> None:
    bench = Bench()
    await bench.resealer.round()
    bench.ring.looked = Looked(first="new")
    await bench.resealer.round()
    assert ["old", "new"] == bench.rows.taken_up
    assert 2 == bench.rows.asked
    assert ["keys.taken_up"] == bench.observer.names()


async def test_a_key_that_other_daemons_lack_waits_for_them() -> None:
    """Told once; nothing is moved to it, nor back from it, meanwhile."""
    bench = Bench()
    await bench.resealer.round()
    bench.ring.looked, bench.rows.lacking, bench.ring.key_ids = Looked(first="new"), 1, ("new", "old")
    for _ in range(2):
        bench.resealer.on_event(counted(old=3, new=1))
        await bench.resealer.round()
    assert (["keys.waits_for_replicas"], 1) == (bench.observer.names(), bench.rows.asked)
    bench.rows.lacking = 0
    await bench.resealer.round()
    assert ["old", "new"] == bench.rows.taken_up
    assert ["keys.waits_for_replicas", "keys.taken_up"] == bench.observer.names()
    assert 2 == bench.rows.asked


async def test_a_start_ahead_of_the_others_tells_when_the_key_is_taken_up() -> None:
    bench = Bench()
    bench.ring.looked, bench.rows.lacking = Looked(first="new"), 2
    await bench.resealer.round()
    bench.rows.lacking = 0
    await bench.resealer.round()
    assert ["keys.waits_for_replicas", "keys.taken_up"] == bench.observer.names()


async def test_rows_under_missing_keys_are_told_with_each_count() -> None:
    """Somebody must bring the key; a damaged row is no matter of keys."""
    bench = Bench()
    bench.resealer.on_event(counted(old=3, lost=2, damaged=1))
    await bench.resealer.round()
    await bench.resealer.round()
    assert ["keys.missing"] == bench.observer.names()
    bench.ring.key_ids = ("old", "lost")
    bench.resealer.on_event(counted(old=3, lost=2))
    await bench.resealer.round()
    numbers = [event.rows for event in bench.observer.events if isinstance(event, MissingKeysCounted)]
    assert ([2, 0], ["keys.missing"]) == (numbers, bench.observer.names())


async def test_a_key_taken_up_before_the_first_round_moves_the_rows_too() -> None:
    """Among replicas a start takes it up before anything is claimed."""
    bench = Bench()
    await bench.resealer.take_up()
    await bench.resealer.round()
    await bench.resealer.round()
    assert (["old"], 1) == (bench.rows.taken_up, bench.rows.asked)


async def test_holds_are_looked_at_when_the_ring_has_gained_a_key() -> None:
    """At the start too; not every second."""
    bench = Bench()
    bench.rows.held = 4
    await bench.resealer.round()
    await bench.resealer.round()
    bench.ring.key_ids = ("old", "found")
    await bench.resealer.round()
    assert 2 == bench.rows.released
    assert ["keys.holds_released"] * 2 == bench.observer.names()


async def test_a_store_that_refuses_is_asked_again() -> None:
    """The key counts as taken up only when the store knows it."""
    bench = Bench()
    bench.rows.down = True
    with pytest.raises(StoreUnavailable):
        await bench.resealer.round()
    bench.rows.down = False
    await bench.resealer.round()
    assert ["old"] == bench.rows.taken_up


async def test_a_refused_ring_is_told_once() -> None:
    bench = Bench()
    bench.ring.looked = Looked(first="old", fault="half written")
    await bench.resealer.round()
    await bench.resealer.round()
    assert ["keys.ring_refused"] == bench.observer.names()


async def test_unreadable_rows_are_told_once() -> None:
    bench = Bench(batch(unreadable=2), batch(unreadable=2))
    await bench.resealer.round()
    bench.resealer.on_event(counted(damaged=2))
    await bench.resealer.round()
    assert ["keys.rows_unreadable"] == bench.observer.names()


async def test_answers_go_first_but_not_for_ever() -> None:
    """While answers wait for the store nothing is moved; under endless load a batch still comes through now and then."""
    bench = Bench()
    bench.is_busy = True
    await bench.resealer.round()
    assert MOST_YIELDS == bench.pauses.count
    assert 1 == bench.rows.asked


async def test_every_key_of_the_ring_is_counted_also_at_0() -> None:
    """A metric that vanishes with the last row could not say that the key can be removed."""
    bench = Bench()
    bench.ring.key_ids = ("new", "old")
    await bench.resealer.round()
    (counted,) = [event for event in bench.observer.events if isinstance(event, KeyRowsCounted)]
    assert {"new": 0, "old": 3} == dict(counted.rows_by_key)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[SqliteBed]:
    with SqliteBed(tmp_path) as one:
        yield one


async def test_a_whole_rotation_on_a_real_store(bed: SqliteBed) -> None:
    """From a key added to the file to 0 rows under the old one, by ticks alone."""
    bed.add(*(grant(f"{number:03}") for number in range(120)))
    old, observer = bed.sealer.primary_key_id, RecordingObserver()
    rows = rows_of(bed)
    resealer = Resealer(ring=bed.sealer, rows=rows, observer=observer, pause=Pauses())
    await resealer.round()
    new = add_key(bed.ring)
    await resealer.round()
    (last,) = [event for event in observer.events if isinstance(event, KeyRowsCounted)][-1:]
    assert {new: 121, old: 0} == dict(last.rows_by_key)
