"""The staircase with everything under control: claim, exchange, settle, commit, publish, observe."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.sql.inventory import Selection
from refreshd.domain.client import Limits
from refreshd.domain.credential import Reason, Status
from refreshd.domain.events import ReloginRequired, ResponsesUnpersisted
from refreshd.domain.outcome import Confirmation, Deferred, Misconfigured, Refreshed, Rejected, Uncertain
from refreshd.domain.secret import Secret
from tests.contract.stores import LEASE, grant
from tests.fakes import START, quiet, success
from tests.unit.service.house import House

SECOND = timedelta(seconds=1)
REFUSED = Rejected(code="invalid_grant", confirmation=Confirmation.FAST)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as built:
        yield built


async def test_a_due_credential_ends_as_a_token_in_redis(house: House) -> None:
    """The main job."""
    house.bed.add(grant())
    assert "credential.refreshed" in await house.work()
    assert ("access-1", Secret("refresh-1")) == (house.token("a"), house.stored("a"))


async def test_the_old_token_stays_visible_until_the_new_one_is_there(house: House) -> None:
    """An answer that is missing does not take the living token away; doubt is shown beside it."""
    house.bed.add(grant())
    await house.work()
    house.clock.advance(timedelta(minutes=55))
    house.endpoint.script = [Uncertain(code="deadline")]
    assert "credential.refresh_uncertain" in await house.work()
    assert ("access-1", True) == (house.token("a"), house.publisher.shown["a"].in_doubt)


async def test_doubt_waits_for_the_settle_delay_and_shows_the_same_token_again(house: House) -> None:
    """R7, R8: not before a minute has passed, then the same refresh token."""
    house.bed.add(grant())
    house.endpoint.script = [Uncertain(code="deadline")]
    await house.work()
    house.clock.advance(59 * SECOND)
    await house.work()
    assert ["refresh-a"] == house.presented()
    house.clock.advance(SECOND)
    await house.work()
    assert ["refresh-a", "refresh-a"] == house.presented()
    assert not house.publisher.shown["a"].in_doubt


async def test_a_rejection_is_confirmed_before_anybody_is_asked_to_log_in(house: House) -> None:
    """R10: one refusal changes nothing that a consumer sees; the second, 45 s later, calls a person."""
    house.bed.add(grant())
    await house.work()
    house.clock.advance(timedelta(minutes=55))
    house.endpoint.script = [REFUSED, REFUSED]
    await house.work()
    assert (Status.ACTIVE, "access-1") == (house.publisher.shown["a"].status, house.token("a"))
    house.clock.advance(50 * SECOND)
    await house.work()
    shown = house.publisher.shown["a"]
    assert (Status.RELOGIN_REQUIRED, Reason.REFUSED, None) == (shown.status, shown.reason, house.token("a"))


async def test_a_rejection_in_doubt_is_a_lost_rotation(house: House) -> None:
    """R7: another reason than a withdrawn consent."""
    house.bed.add(grant())
    house.endpoint.script = [Uncertain(code="deadline"), REFUSED, REFUSED]
    for _ in range(3):
        await house.work()
        house.clock.advance(timedelta(minutes=2))
    [event] = [one for one in house.observer.events if isinstance(one, ReloginRequired)]
    assert Reason.ROTATION_LOST == event.reason


async def test_a_condemned_credential_is_tried_again_and_can_heal(house: House) -> None:
    """R10: after an hour once more; a success brings it back and says so."""
    house.bed.add(grant())
    house.endpoint.script = [REFUSED, REFUSED]
    await house.work()
    house.clock.advance(timedelta(minutes=1))
    await house.work()
    house.clock.advance(timedelta(minutes=59))
    await house.work()
    assert 2 == len(house.presented())
    house.clock.advance(timedelta(minutes=2))
    await house.work()
    assert (Status.ACTIVE, "access-3") == (house.publisher.shown["a"].status, house.token("a"))
    assert ("a", "recovered") in house.publisher.events


async def test_a_wrong_client_secret_suspends_the_client_and_touches_no_credential(house: House) -> None:
    """R9: one error line, nobody flagged, one probe a minute later, all well once it succeeds."""
    house.bed.add(*(grant(f"c{number}") for number in range(20)))
    house.endpoint.script = [Misconfigured(code="invalid_client")] * 20
    names = await house.work()
    assert 1 == names.count("client.suspended")
    assert 16 == len(house.presented())
    await house.work()
    assert 16 == len(house.presented())
    assert {("active", 0, 0, 0)} == {
        (row["health"], row["in_doubt"], row["failures"], row["rejections"])
        for row in (house.bed.row(f"c{number}") for number in range(20))
    }
    house.endpoint.script = []
    house.clock.advance(61 * SECOND)
    assert "client.resumed" in await house.work()
    assert 17 == len(house.presented())
    for _ in range(3):
        await house.work()
    assert 20 == sum(house.token(f"c{number}") is not None for number in range(20))


async def test_a_deferral_backs_off_and_keeps_serving(house: House) -> None:
    """Surely not processed: no doubt, a wait that is stored, the living token untouched."""
    house.bed.add(grant())
    house.endpoint.script = [Deferred(code="client_connector")]
    await house.work()
    row = house.bed.row("a")
    assert (0, 1, "deferred") == (row["in_doubt"], row["failures"], row["last_outcome"])
    house.clock.advance(timedelta(minutes=10))
    await house.work()
    assert "access-2" == house.token("a")


async def test_throttling_pauses_the_whole_client(house: House) -> None:
    """429 is about our client, not about one credential: nobody else is sent into the same wall."""
    house.bed.add(grant("a"))
    house.endpoint.script = [Deferred(code="http_429", throttled=True, retry_after=timedelta(seconds=30))]
    assert "client.throttled" in await house.work()
    house.bed.add(grant("b"))
    house.clock.advance(29 * SECOND)
    await house.work()
    assert 1 == len(house.presented())
    house.clock.advance(2 * SECOND)
    await house.work()
    assert 3 == len(house.presented())


async def test_an_answer_that_cannot_be_stored_is_kept_until_it_can(house: House) -> None:
    """R6: in memory, for ever, with an alarm; meanwhile nothing new is begun."""
    house.bed.add(grant(), grant("b", login_at=START))
    house.bed.edit("b", next_attempt_at=house.bed.row("b")["next_attempt_at"] + 1_000_000)
    house.store.commits_fail = True
    await house.scanner.scan()
    while house.store.failed_commits < 2:
        await asyncio.sleep(0)
    assert 1 == house.answers.unpersisted
    house.clock.advance(SECOND)
    await house.scanner.scan()
    assert ["refresh-a"] == house.presented()
    house.store.commits_fail = False
    await house.pool.drained()
    assert (Secret("refresh-1"), 0) == (house.stored("a"), house.answers.unpersisted)
    counts = [one.count for one in house.observer.events if isinstance(one, ResponsesUnpersisted)]
    assert [1, 0] == counts


async def test_a_drain_waits_for_an_answer_on_its_way(house: House) -> None:
    """R2: a stop in the middle of a request neither cancels it nor forgets its answer."""
    house.bed.add(grant())
    house.endpoint.gate = asyncio.Event()
    running = asyncio.create_task(house.supervisor.run())
    await house.endpoint.asked.wait()
    house.supervisor.stop("SIGTERM")
    house.supervisor.stop("SIGTERM")
    await house.observer.until("daemon.draining")
    assert not running.done()
    house.endpoint.gate.set()
    assert 0 == await running
    assert (Secret("refresh-1"), "access-1") == (house.stored("a"), house.token("a"))


async def test_a_drain_never_leaves_an_unstored_answer(house: House) -> None:
    """R6: past the drain's limit the process still stays while an answer is in memory only."""
    house.bed.add(grant())
    house.store.commits_fail = True
    running = asyncio.create_task(house.supervisor.run())
    await house.observer.until("store.unpersisted_responses")
    house.supervisor.stop("SIGTERM")
    await house.observer.until("daemon.draining")
    await quiet()
    assert not running.done()
    house.store.commits_fail = False
    assert 0 == await running
    assert Secret("refresh-1") == house.stored("a")


async def test_a_claim_that_was_not_sent_is_given_back(house: House) -> None:
    """A drain that begins between claim and first byte leaves the row due and without doubt."""
    house.bed.add(grant())
    house.endpoint.before_send = house.health.drain
    assert "credential.attempt_released" in await house.work()
    row = house.bed.row("a")
    assert ([], None, 0) == (house.presented(), row["attempt_id"], row["in_doubt"])


async def test_a_frozen_process_sends_nothing_once_its_lease_is_too_short(house: House) -> None:
    """The last look before the first byte uses the clock that counts suspension."""
    house.bed.add(grant())
    house.endpoint.before_send = lambda: house.clock.suspend(LEASE - timedelta(seconds=99))
    assert "credential.attempt_released" in await house.work()
    assert [] == house.presented()


async def test_a_lease_that_lapsed_in_our_own_hands_is_not_claimed_again(house: House) -> None:
    """After a freeze the process still holds the answer's way: the same refresh token is not sent twice."""
    house.bed.add(grant())
    house.endpoint.gate = asyncio.Event()
    await house.scanner.scan()
    while not house.presented():
        await asyncio.sleep(0)
    house.clock.suspend(timedelta(hours=1))
    await house.scanner.scan()
    await asyncio.sleep(0)
    house.endpoint.gate.set()
    await house.pool.drained()
    assert (["refresh-a"], Secret("refresh-1")) == (house.presented(), house.stored("a"))


async def test_a_new_login_during_a_refresh_wins(house: House) -> None:
    """Walk 3: the late answer is dropped with one warning, the new login's tokens stay."""
    house.bed.add(grant())
    house.endpoint.gate = asyncio.Event()
    await house.scanner.scan()
    while not house.presented():
        await asyncio.sleep(0)
    house.bed.add(grant(token="second-login"), replace=True)
    house.endpoint.gate.set()
    await house.pool.drained()
    assert 1 == house.observer.names().count("credential.answer_of_an_earlier_login_dropped")
    assert Secret("second-login") == house.stored("a")


async def test_a_pause_during_a_refresh_while_redis_is_down(house: House) -> None:
    """Walk 2: tokens are stored, the token is withdrawn when Redis is back, resume shows it again."""
    house.bed.add(grant())
    await house.work()
    house.clock.advance(timedelta(minutes=55))
    house.publisher.down = True
    house.endpoint.gate = asyncio.Event()
    await house.scanner.scan()
    while len(house.presented()) < 2:
        await asyncio.sleep(0)
    house.bed.inventory.pause(Selection(id="a"), now=house.clock.now())
    house.endpoint.gate.set()
    await house.pool.drained()
    assert not await house.publication.round()
    house.publisher.down = False
    assert await house.publication.round()
    shown = house.publisher.shown["a"]
    assert (Status.PAUSED, True, 3) == (shown.status, shown.withdrawn, shown.generation)
    assert [("a", "refreshed"), ("a", "paused"), ("a", "refreshed")] == house.publisher.events
    house.bed.inventory.resume(Selection(id="a"), now=house.clock.now())
    await house.publication.round()
    assert "access-2" == house.token("a")


async def test_a_refresh_past_the_deadline_proves_that_logins_slide(house: House) -> None:
    """Both readings of the 30 days: the proof holds for the registration, takes the flag back and is told once."""
    house.bed.add(grant(login_at=START - timedelta(days=31)), grant("b", login_at=START - timedelta(days=29)))
    await house.housekeeping.round()
    assert 2 == house.observer.names().count("credential.relogin_soon")
    names = await house.work()
    assert 1 == names.count("client.sliding_lifetime_proven")
    await house.publication.round()
    assert {"acme"} == house.bed.inventory.proven_sliding()
    assert not house.publisher.shown["a"].relogin_soon
    assert START + timedelta(days=30) == house.publisher.shown["a"].relogin_by


async def test_the_rate_limit_spreads_what_is_due(tmp_path: Path) -> None:
    """Never more than a tenth of a second's worth at once."""
    with House(tmp_path, limits=Limits(max_in_flight=50, max_rate=20.0)) as house:
        house.bed.add(*(grant(f"c{number:02}") for number in range(10)))
        await house.work()
        assert 2 == len(house.presented())
        house.clock.advance(timedelta(milliseconds=100))
        await house.work()
        assert 4 == len(house.presented())


async def test_a_flush_is_noticed_and_everything_shown_again(house: House) -> None:
    """Redis lost its data behind our back: the marker is gone, all rows come back without new events."""
    house.bed.add(*(grant(f"c{number:03}") for number in range(250)))
    for _ in range(40):
        await house.work()
    events = len(house.publisher.events)
    house.publisher.flush()
    house.clock.advance(6 * SECOND)
    for _ in range(3):
        await house.publication.round()
    assert 250 == len(house.publisher.shown)
    assert events == len(house.publisher.events)


async def test_a_silent_ticker_is_noticed(house: House) -> None:
    """A clock that stepped back would silence the ticker: the scanner goes on and has it wound up again."""
    running = asyncio.create_task(house.scanner.run())
    house.clock.advance(10 * SECOND)
    await house.observer.until("scan.tick_missed")
    house.health.drain()
    house.scanner.stop()
    await running
    assert 1 <= house.missed_ticks


async def test_a_bug_in_one_attempt_ends_neither_the_daemon_nor_the_others(house: House) -> None:
    """The pool is the one place that survives surprises; the row is taken up as in doubt later."""
    secret = "refresh-a"

    def broken() -> Refreshed:
        raise ZeroDivisionError(secret)

    house.bed.add(grant(), grant("b"))
    house.endpoint.script = [broken, success("fine", "next")]
    names = await house.work()
    assert {"daemon.task_crashed", "credential.refreshed"} <= set(names)
    assert not any(secret in str(event) for event in house.observer.events)


async def test_a_publisher_that_swallows_a_cancellation_does_not_hold_up_the_end(house: House) -> None:
    """`asyncio.wait_for` did so before Python 3.12: a drained daemon went on publishing for ever."""
    house.publisher.swallows = 1
    house.bed.add(grant())
    running = asyncio.create_task(house.supervisor.run())
    house.scanner.tick()
    async with asyncio.timeout(5):
        await house.publisher.swallowing.wait()
        house.supervisor.stop("SIGTERM")
        assert 0 == await running
    assert 0 == house.publisher.swallows


async def test_what_a_drain_has_stored_is_published_before_the_end(house: House) -> None:
    """One time-out of Redis at that moment must not keep the last answers from consumers until the next start."""
    house.bed.add(grant())
    house.endpoint.gate = asyncio.Event()
    running = asyncio.create_task(house.supervisor.run())
    await house.endpoint.asked.wait()
    house.supervisor.stop("SIGTERM")
    await house.observer.until("daemon.draining")
    house.publisher.failures = 3
    house.endpoint.gate.set()
    assert (0, "access-1") == (await running, house.token("a"))
