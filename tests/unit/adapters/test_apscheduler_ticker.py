"""The tick counts from now: no clock step makes it storm or stop for good."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from refreshd.adapters.apscheduler_ticker import ApschedulerTicker, FromNow

HOUR = timedelta(hours=1)
STEP = timedelta(days=60)
PATIENCE = 5.0


@pytest.mark.parametrize("previous", [None, datetime(2026, 1, 1, tzinfo=UTC)])
def test_the_next_run_is_an_interval_from_now(previous: datetime | None) -> None:
    """Whatever ran or was missed before."""
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert now + HOUR == FromNow(HOUR).get_next_fire_time(previous, now)


async def test_a_tick_comes_again_and_again_on_the_loop() -> None:
    """Called on the event loop, not in a thread: it may set an event."""
    loops: list[asyncio.AbstractEventLoop] = []
    enough = asyncio.Event()
    ticker = ApschedulerTicker()

    def tick() -> None:
        loops.append(asyncio.get_running_loop())
        if len(loops) >= 3:
            enough.set()

    ticker.every(timedelta(milliseconds=5), tick)
    async with ticker:
        await asyncio.wait_for(enough.wait(), PATIENCE)
    assert {asyncio.get_running_loop()} == set(loops)


async def test_a_clock_step_of_sixty_days_forward_costs_one_run() -> None:
    """Each job is as late as after the step; five million missed seconds are not made up for, nor counted one by one."""
    runs: list[str] = []
    ticked = asyncio.Event()

    def last() -> None:
        runs.append("b")
        ticked.set()

    ticker = ApschedulerTicker()
    ticker.every(HOUR, lambda: runs.append("a"))
    ticker.every(HOUR, last)
    async with ticker:
        jobs = ticker._scheduler.get_jobs()
        for job in jobs:
            job.modify(next_run_time=datetime.now(UTC) - STEP)
        await asyncio.wait_for(ticked.wait(), PATIENCE)
        for _ in range(10):
            await asyncio.sleep(0)
        next_runs = [job.next_run_time for job in ticker._scheduler.get_jobs()]
    assert ["a", "b"] == sorted(runs)
    assert all(timedelta(minutes=59) < at - datetime.now(UTC) <= HOUR for at in next_runs)


async def test_rearming_after_a_step_backward_counts_from_now() -> None:
    """The library alone would wait sixty days."""
    ticker = ApschedulerTicker()
    ticker.every(HOUR, lambda: None)
    async with ticker:
        [job] = ticker._scheduler.get_jobs()
        job.modify(next_run_time=datetime.now(UTC) + STEP)
        ticker.rearm()
        [job] = ticker._scheduler.get_jobs()
        assert job.next_run_time - datetime.now(UTC) <= HOUR


async def test_a_tick_that_fails_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    """One bad run does not end the ticking."""
    runs: list[int] = []
    again = asyncio.Event()
    ticker = ApschedulerTicker()

    def tick() -> None:
        runs.append(1)
        if len(runs) > 1:
            again.set()
            return
        raise ValueError("once")

    ticker.every(timedelta(milliseconds=5), tick)
    async with ticker:
        await asyncio.wait_for(again.wait(), PATIENCE)
    assert "once" in caplog.text
