"""Requests of consumers on a real store: at most one refresh each generation, and every entry struck off."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.sql.inventory import Selection
from refreshd.domain.events import RefreshRequested
from refreshd.domain.outcome import Deferred, Uncertain
from tests.contract.stores import grant
from tests.fakes import quiet
from tests.unit.service.house import House

SECOND = timedelta(seconds=1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as built:
        yield built


async def fresh(house: House, *names: str) -> None:
    """Credentials refreshed once, with nothing due for most of an hour."""
    house.bed.add(*(grant(name) for name in names))
    await house.work()
    house.clock.advance(SECOND)


def verdicts(house: House) -> dict[str, int]:
    """How many requests ended how."""
    found: dict[str, int] = {}
    for event in house.observer.events:
        if isinstance(event, RefreshRequested):
            found[event.verdict.value] = found.get(event.verdict.value, 0) + event.count
    return found


def generation(house: House, name: str = "a") -> int:
    found = house.bed.row(name)["generation"]
    assert isinstance(found, int)
    return found


async def test_a_thousand_requests_cause_one_refresh(house: House) -> None:
    """All of one generation, before, during and after: one goes to the provider, and no entry is left."""
    await fresh(house, "a")
    old = generation(house)
    for _ in range(500):
        house.requests.ask("a", old)
    await house.desk.round()
    for _ in range(250):
        house.requests.ask("a", old)
    await house.desk.round()
    await house.work()
    for _ in range(250):
        house.requests.ask("a", old)
    await house.desk.round()
    await house.work()
    assert (old + 1, 2) == (generation(house), len(house.endpoint.presented))
    assert {"accepted": 1, "limited": 749, "stale": 250} == verdicts(house)
    assert {} == house.requests.held


async def test_the_scanner_is_woken_at_once(house: House) -> None:
    """A consumer waits ten seconds in all: not for the next tick too."""
    await fresh(house, "a")
    waiting = asyncio.create_task(house.scanner._pause())
    await quiet()
    assert not waiting.done()
    house.requests.ask("a", generation(house))
    await house.desk.round()
    await quiet()
    assert waiting.done()


async def test_the_daemon_serves_requests_and_stops(house: House) -> None:
    """One of its root tasks, cancelled by the drain like the others."""
    await fresh(house, "a")
    running = asyncio.create_task(house.supervisor.run())
    house.requests.ask("a", generation(house))
    await house.observer.until("credential.refresh_requested")
    house.supervisor.stop("SIGTERM")
    assert (0, {"accepted": 1}) == (await running, verdicts(house))


async def test_two_credentials_are_refreshed_a_second_apart(house: House) -> None:
    """The second waits for its turn instead of being dropped."""
    await fresh(house, "a", "b")
    for name in ("a", "b"):
        house.requests.ask(name, generation(house, name))
    await house.desk.round()
    await house.work()
    assert (3, {"accepted": 1}) == (len(house.endpoint.presented), verdicts(house))
    house.clock.advance(SECOND)
    await house.desk.round()
    await house.work()
    assert (4, {"accepted": 2}, {}) == (len(house.endpoint.presented), verdicts(house), house.requests.held)


async def test_a_restart_forgets_no_limit(house: House) -> None:
    """An API that refuses everything while the daemon restarts gets no new token by that."""
    await fresh(house, "a")
    house.requests.ask("a", generation(house))
    await house.desk.round()
    await house.work()
    house.restart()
    house.clock.advance(timedelta(minutes=5) - SECOND)
    house.requests.ask("a", generation(house))
    await house.desk.round()
    assert {"accepted": 1, "limited": 1} == verdicts(house)
    house.clock.advance(SECOND)
    house.requests.ask("a", generation(house))
    await house.desk.round()
    assert {"accepted": 2, "limited": 1} == verdicts(house)


@pytest.mark.parametrize("state", ["paused", "held", "relogin_required", "in_doubt", "failed", "removed"])
async def test_no_request_undoes_a_state(house: House, state: str) -> None:
    """What an operator, the provider or a doubt has stopped stays as it is, to the microsecond."""
    await fresh(house, "a")
    match state:
        case "paused":
            house.bed.inventory.pause(Selection(id="a"), now=house.clock.now())
        case "removed":
            house.bed.inventory.remove(Selection(id="a"), now=house.clock.now())
        case "held" | "relogin_required":
            house.bed.edit("a", health=state)
        case _:
            house.clock.advance(timedelta(hours=1))
            house.endpoint.script = [Uncertain(code="timeout") if state == "in_doubt" else Deferred(code="http_503")]
            await house.work()
    before = house.bed.row("a")
    house.requests.ask("a", before["generation"])
    await house.desk.round()
    assert before == house.bed.row("a")
    assert {"unknown" if state == "removed" else "ignored": 1} == verdicts(house)
    assert {} == house.requests.held


async def test_an_attempt_under_way_is_not_asked_for_again(house: House) -> None:
    """While the answer is on its way, its row belongs to the attempt: `next_attempt_at` is its lease."""
    await fresh(house, "a")
    house.bed.inventory.mark_due("a", now=house.clock.now())
    [attempt] = await house.bed.claim(house.clock.now())
    before = house.bed.row("a")
    house.requests.ask("a", attempt.credential.generation)
    await house.desk.round()
    assert (before, {"ignored": 1}) == (house.bed.row("a"), verdicts(house))


async def test_malformed_and_unknown_entries_are_counted_and_struck_off(house: House) -> None:
    """Nothing that anybody writes stays in the stream or stops the loop."""
    await fresh(house, "a")
    house.requests.ask("a", "x")
    house.requests.ask("", 1)
    house.requests.ask("nobody", 1)
    await house.desk.round()
    assert ({"malformed": 2, "unknown": 1}, {}) == (verdicts(house), house.requests.held)


async def test_what_could_not_be_judged_is_kept(house: House) -> None:
    """A store that is away costs no request: its entry is struck off only after its verdict."""
    await fresh(house, "a")
    house.requests.ask("a", generation(house))
    house.store.standings_fail = True
    assert not await house.desk.round()
    assert ({}, 1) == (verdicts(house), len(house.requests.held))
    house.store.standings_fail = False
    assert await house.desk.round()
    assert ({"accepted": 1}, {}) == (verdicts(house), house.requests.held)


async def test_an_outage_of_redis_is_told_once(house: House) -> None:
    """The loop goes on and serves again when Redis is back."""
    await fresh(house, "a")
    house.requests.down = True
    house.requests.ask("a", generation(house))
    assert [False, False] == [await house.desk.round() for _ in range(2)]
    house.requests.down = False
    assert await house.desk.round()
    assert (1, {"accepted": 1}) == (house.observer.names().count("redis.requests_unavailable"), verdicts(house))
