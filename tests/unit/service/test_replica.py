"""One daemon among others: its share, its duty, and what follows when the database was away."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from refreshd.domain.client import Limits
from refreshd.domain.credential import ClientName
from refreshd.domain.events import AnswersRestored, ReplicasCounted, StoreFailed
from refreshd.ports.replicas import Standing
from refreshd.ports.store import StoreUnavailable
from refreshd.service.replica import Replica
from refreshd.service.throttle import Throttle
from tests.fakes import FakeClock, RecordingObserver

ALONE = Standing(living=1, on_duty=True, returned=0, restored=0)


class Neighbours:
    """`Replicas` with what it says next; None: the database is away."""

    def __init__(self, *standings: Standing | None) -> None:
        self._standings = list(standings)
        self.left = False

    async def sign_of_life(self) -> Standing:
        standing = self._standings.pop(0)
        if standing is None:
            raise StoreUnavailable("away")
        return standing

    async def sign_off(self) -> None:
        self.left = True
        if not self._standings:
            raise StoreUnavailable("away")


class House:
    def __init__(self, *standings: Standing | None) -> None:
        self.neighbours = Neighbours(*standings)
        self.observer = RecordingObserver()
        self.shares: list[int] = []
        self.returns = 0
        self.replica = Replica(
            replicas=self.neighbours, observer=self.observer, share=self.shares.append, on_return=self.came_back
        )

    def came_back(self) -> None:
        self.returns += 1


async def test_its_share_and_duty_follow_the_living() -> None:
    """Told once when they change, not at every sign of life."""
    more = replace(ALONE, living=3, on_duty=False)
    house = House(ALONE, ALONE, more)
    assert not house.replica.on_duty
    duties = []
    for _ in range(3):
        await house.replica.round()
        duties.append(house.replica.on_duty)
    assert ([1, 1, 3], [True, True, False]) == (house.shares, duties)
    assert [ReplicasCounted(living=1, on_duty=True), ReplicasCounted(living=3, on_duty=False)] == house.observer.events


async def test_a_database_that_was_away_is_met_with_suspicion() -> None:
    """Every credential is compared with what is published again, and what was restored is told."""
    house = House(ALONE, replace(ALONE, returned=1, restored=2), replace(ALONE, returned=1))
    for _ in range(3):
        await house.replica.round()
    assert (1, [AnswersRestored(count=2)]) == (
        house.returns,
        [one for one in house.observer.events if isinstance(one, AnswersRestored)],
    )


async def test_it_goes_on_without_the_database_and_leaves_in_an_orderly_way() -> None:
    """The others need not wait until it is missed; a database that is away changes nothing about the stop."""
    house = House(None, ALONE)
    task = asyncio.create_task(house.replica.run())
    await asyncio.sleep(0)
    house.replica.tick()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (True, [1]) == (house.neighbours.left, house.shares)
    assert isinstance(house.observer.events[0], StoreFailed)


def test_limits_are_shared_among_the_living() -> None:
    """Together they stay within what the client may be asked; each may ask for one."""
    acme, clock = ClientName("acme"), FakeClock()
    throttle = Throttle(
        {acme: Limits(max_in_flight=8, max_rate=40.0)},
        concurrency=32,
        leases={acme: timedelta(minutes=3)},
        horizons={acme: timedelta(minutes=10)},
        clock=clock,
        observer=RecordingObserver(),
    )
    counts = []
    for living in (1, 4, 100, 1):
        throttle.share(living)
        clock.advance(timedelta(seconds=0.1))
        counts.append(throttle.capacity()[acme].count)
    assert [4, 1, 1, 4] == counts
