"""How many requests are under way at once, and what they do not wait for."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from refreshd.domain.client import Limits
from refreshd.wiring.services import UNSTORED
from tests.contract.stores import grant
from tests.fakes import quiet
from tests.unit.service.house import CONCURRENCY, House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path, limits=Limits(max_in_flight=10 * CONCURRENCY, max_rate=10_000.0)) as built:
        for number in range(4 * CONCURRENCY):
            built.bed.add(grant(f"c{number:03}"))
        yield built


async def test_what_starts_together_is_half_of_what_may_be_in_flight(house: House) -> None:
    """Answers that come together queue behind each other; the other half asks meanwhile."""
    house.endpoint.gate = asyncio.Event()
    await house.scanner.scan()
    assert CONCURRENCY // 2 == house.pool.in_flight
    await house.scanner.scan()
    await house.scanner.scan()
    assert CONCURRENCY == house.pool.in_flight
    house.endpoint.gate.set()
    await house.pool.drained()


async def test_a_slot_does_not_wait_for_the_store(house: House) -> None:
    """A slow disk delays what is stored, not what is asked; but only so many answers may wait for it."""
    house.store.gate = asyncio.Event()
    for _ in range(4 * UNSTORED):
        await house.scanner.scan()
        await quiet()
    assert UNSTORED * CONCURRENCY == len(house.presented()) == house.pool.in_flight
    house.store.gate.set()
    await house.pool.drained()
    await house.work()
    assert len(house.presented()) > UNSTORED * CONCURRENCY
