"""When everything is compared anew, in which order and how fast."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.sql.inventory import Selection
from refreshd.domain.events import EvictionPossible, RepublishStarted, StoreFailed
from refreshd.service.publication import BATCH, COMPARED_PER_SECOND, GATHER, Publication
from tests.contract.stores import grant
from tests.unit.service.house import House

SECOND = timedelta(seconds=1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as one:
        yield one


def reasons(house: House) -> list[str]:
    return [event.reason for event in house.observer.events if isinstance(event, RepublishStarted)]


async def test_another_server_is_noticed_within_a_second(house: House) -> None:
    """`meta` was replicated, the last tokens were not: a failover that broke no call would otherwise go unseen."""
    house.bed.add(grant())
    await house.work()
    house.publisher.shown.clear()
    house.clock.advance(SECOND)
    await house.publication.round()
    assert {} == house.publisher.shown
    house.publisher.servers = "run-2"
    house.clock.advance(SECOND)
    await house.publication.round()
    assert (["a"], ["started", "server_changed"]) == (list(house.publisher.shown), reasons(house))
    house.clock.advance(SECOND)
    await house.publication.round()
    assert ["started", "server_changed"] == reasons(house)


async def test_a_lost_meta_is_noticed_within_a_second(house: House) -> None:
    """An empty Redis looks like a quiet one."""
    house.bed.add(grant())
    await house.work()
    house.publisher.flush()
    house.clock.advance(SECOND)
    await house.publication.round()
    assert (["a"], ["started", "flushed"]) == (list(house.publisher.shown), reasons(house))


async def test_redis_is_not_asked_more_than_once_a_second(house: House) -> None:
    """Every commit wakes the publication; it is no reason to look again."""
    house.bed.add(grant())
    await house.work()
    house.publisher.servers = "run-2"
    house.clock.advance(SECOND / 2)
    await house.publication.round()
    assert ["started"] == reasons(house)


async def test_what_is_pending_comes_before_what_is_compared(house: House) -> None:
    """After an outage the newest tokens are readable first, however many others have to be looked at."""
    house.bed.add(*(grant(f"c{number:03}") for number in range(BATCH + 50)))
    await house.publication.round()
    await house.publication.round()
    house.bed.add(grant("z-new"))
    house.publisher.flush()
    house.clock.advance(SECOND)
    await house.publication.round()
    assert "z-new" == next(iter(house.publisher.shown))
    assert len(house.publisher.shown) <= BATCH + 1


async def test_comparing_leaves_room_for_refreshing(house: House) -> None:
    """A page, then a pause: 100,000 credentials take well under a minute, and at no moment the whole processor."""
    house.bed.add(*(grant(f"c{number:03}") for number in range(2 * BATCH + 50)))
    pauses: list[float] = []
    done = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)
        if len(pauses) == 2:
            done.set()

    publication = Publication(
        store=house.bed.store,
        publisher=house.publisher,
        observer=house.observer,
        clock=house.clock,
        guard=house.guard,
        timekeeper=house.timekeeper,
        store_id="ours",
        pause=pause,
    )
    running = asyncio.create_task(publication.run())
    await done.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert pytest.approx([BATCH / COMPARED_PER_SECOND] * 2) == pauses
    assert 100_000 / COMPARED_PER_SECOND < 60
    assert COMPARED_PER_SECOND * 2 >= 5000  # keys


async def test_a_policy_that_drops_keys_is_warned_of_once(house: House) -> None:
    """And again only if it is another one."""
    for policy in ("allkeys-lru", "allkeys-lru", "", "volatile-ttl"):
        house.publisher.evicting = policy
        house.publication.show_again("clock_stepped")
        await house.publication.round()
    policies = [event.policy for event in house.observer.events if isinstance(event, EvictionPossible)]
    assert ["allkeys-lru", "volatile-ttl"] == policies


async def test_after_several_were_published_the_next_ones_share_a_round(house: House) -> None:
    """A round costs two looks at the store and two at Redis, however many are in it; one alone waits for nobody."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    publication = Publication(
        store=house.bed.store,
        publisher=house.publisher,
        observer=house.observer,
        clock=house.clock,
        guard=house.guard,
        timekeeper=house.timekeeper,
        store_id="ours",
        pause=pause,
    )
    task = asyncio.create_task(publication.run())
    try:
        for names in (["a"], ["b", "c", "d"]):
            for name in names:
                house.bed.add(grant(name))
            publication.wake()
            while set(names) - set(house.publisher.shown):
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
    finally:
        task.cancel()
    assert [3 * GATHER] == [one for one in pauses if one in (GATHER, 3 * GATHER)]


class TestMarks:
    """The store is told of what Redis has while the next is shown."""

    @pytest.fixture
    async def marking(self, house: House) -> AsyncIterator[House]:
        """A publication under way, which has shown a paused credential; its mark does not end before `marks_gate` is opened."""
        await house.publication.round()  # the comparison after a start, which would show a later change by itself
        house.store.marks_gate = asyncio.Event()
        house.bed.add(grant())
        house.bed.inventory.pause(Selection(id="a"), now=house.clock.now())
        running = asyncio.create_task(house.publication.run())
        await becomes(lambda: "a" in house.publisher.shown)
        yield house
        running.cancel()

    async def test_nobody_waits_for_the_mark_of_others(self, marking: House) -> None:
        """It is a transaction, behind those of claims and answers."""
        marking.bed.add(grant("b"))
        marking.publication.wake()
        await becomes(lambda: "b" in marking.publisher.shown)
        assert 0 == marking.bed.row("a")["published_revision"]
        marking.store.marks_gate.set()  # type: ignore[union-attr]  # made by the fixture
        await becomes(lambda: marking.bed.row("b")["published_revision"] == 1)

    async def test_a_change_during_its_mark_is_shown_after_it(self, marking: House) -> None:
        """Shown before, the first event would be told once more, as it is not spent yet."""
        marking.bed.inventory.resume(Selection(id="a"), now=marking.clock.now())
        marking.publication.wake()
        await asyncio.sleep(0.05)
        assert 2 == marking.publisher.shown["a"].revision
        marking.store.marks_gate.set()  # type: ignore[union-attr]  # made by the fixture
        await becomes(lambda: marking.publisher.shown["a"].revision == 3)
        assert [("a", "paused"), ("a", "resumed")] == marking.publisher.events

    async def test_what_could_not_be_marked_is_shown_once_more(self, marking: House) -> None:
        """And told of."""
        marking.store.marks_fail = True
        marking.store.marks_gate.set()  # type: ignore[union-attr]  # made by the fixture
        await asyncio.sleep(0.01)
        marking.publication.wake()
        await becomes(lambda: any(isinstance(one, StoreFailed) for one in marking.observer.events))
        marking.store.marks_fail = False
        await becomes(lambda: marking.bed.row("a")["published_revision"] == 2)

    async def test_the_last_mark_is_part_of_a_drain(self, marking: House) -> None:
        """Else the next start shows, and tells, it once more."""
        flushing = asyncio.create_task(marking.publication.flush())
        await asyncio.sleep(0.05)
        assert not flushing.done()
        marking.store.marks_gate.set()  # type: ignore[union-attr]  # made by the fixture
        await flushing
        assert 2 == marking.bed.row("a")["published_revision"]

    async def test_what_changed_during_the_last_mark_is_part_of_a_drain(self, house: House) -> None:
        """A stop may fall between a publication and its mark; a token stored meanwhile would be missing until the next start."""
        house.store.marks_gate = asyncio.Event()
        house.bed.add(grant())
        running = asyncio.create_task(house.publication.run())
        await becomes(lambda: "a" in house.publisher.shown)
        running.cancel()
        await asyncio.wait([running])
        house.bed.inventory.pause(Selection(id="a"), now=house.clock.now())
        flushing = asyncio.create_task(house.publication.flush())
        await asyncio.sleep(0.05)
        house.store.marks_gate.set()
        await flushing
        assert 2 == house.publisher.shown["a"].revision


async def becomes(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.005)
