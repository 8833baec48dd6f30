"""The rules that keep a login alive when something else went wrong: R5, R10, R11, R13 and slow start, on the services."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.sql.inventory import Selection
from refreshd.adapters.sql.schema import EPOCH
from refreshd.adapters.sql.store import SqlStore
from refreshd.domain.client import Limits
from refreshd.domain.credential import CredentialId, Reason, Status
from refreshd.domain.events import ClockStepped, CredentialHeld, GrantStormBegan, GrantStormEnded, SlowStart
from refreshd.domain.outcome import Confirmation, Deferred, Outcome, Rejected, Uncertain
from refreshd.domain.secret import Secret
from refreshd.ports.publisher import PublisherUnavailable
from refreshd.ports.store import Capacity
from tests.contract.stores import ACME, LEASE, grant
from tests.fakes import quiet, success
from tests.unit.service.house import House

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
REFUSED = Rejected(code="invalid_grant", confirmation=Confirmation.FAST)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as built:
        yield built


def names(count: int) -> list[str]:
    return [f"c{number:02}" for number in range(count)]


async def confirm_all(house: House, count: int) -> list[str]:
    """Every credential refused, and 50 s later refused again."""
    house.endpoint.script = [REFUSED for _ in range(2 * count)]
    first = list(await house.work())
    house.clock.advance(50 * SECOND)
    return first + list(await house.work())


class TestRescue:
    async def test_a_refused_credential_takes_up_the_token_that_was_put_aside(self, house: House) -> None:
        """R5: our frozen self got the new token, the one that took over the row was refused: nobody has to log in."""
        house.bed.add(grant())
        house.endpoint.gate = asyncio.Event()
        house.endpoint.script = [success("kept-access", "kept-refresh"), REFUSED]
        frozen = asyncio.create_task(house.scanner.scan())
        await frozen
        await house.endpoint.asked.wait()
        other = SqlStore(house.bed.engines, house.bed.codec, owner="p2")
        house.clock.advance(LEASE)
        room = {ACME: Capacity(count=1, lease=LEASE)}
        claims = await other.claim_due(now=house.clock.now(), capacity=room, total=1, holding=())
        house.endpoint.gate.set()
        await house.pool.drained()
        assert "credential.token_rescued" in house.observer.names()
        await other.release(claims.attempts[0])
        other.close()
        said = await house.work()
        assert {"credential.rescued_token_adopted", "credential.refreshed"} <= set(said)
        assert (Secret("kept-refresh"), "kept-access") == (house.stored("a"), house.token("a"))
        assert ["refresh-a", "refresh-a"] == house.presented()


class TestStorm:
    async def test_all_of_a_clients_credentials_refused_at_once_condemn_nobody(self, house: House) -> None:
        """R10: a provider's fault or the wrong environment; told once, remembered, asked again."""
        house.bed.add(*(grant(name) for name in names(3)))
        said = await confirm_all(house, 3)
        assert "credential.relogin_required" not in said
        [began] = [one for one in house.observer.events if isinstance(one, GrantStormBegan)]
        assert (3, 3) == (began.refused, began.credentials)
        assert {Status.ACTIVE} == {one.status for one in house.publisher.shown.values()}
        house.clock.advance(HOUR)
        house.endpoint.script = [REFUSED] * 3
        assert "client.grant_storm" not in await house.work()

    async def test_one_that_is_refreshed_after_all_ends_it_and_the_others_follow(self, house: House) -> None:
        """The fault was the provider's: the rest is asked at once instead of in some minutes."""
        house.bed.add(*(grant(name) for name in names(3)))
        await confirm_all(house, 3)
        house.bed.edit("c01", next_attempt_at=0)
        assert "client.grant_storm_ended" in await house.work()
        await house.work()
        assert names(3) == sorted(name for name in names(3) if house.token(name))

    async def test_after_a_day_it_is_believed(self, house: House) -> None:
        """Nobody stays unreachable for ever because nobody looked."""
        house.bed.add(*(grant(name) for name in names(3)))
        await confirm_all(house, 3)
        for _ in range(60):
            house.clock.advance(30 * MINUTE)
            house.endpoint.script = [REFUSED] * 3
            await house.work()
        [ended] = [one for one in house.observer.events if isinstance(one, GrantStormEnded)]
        assert "a_day_old" == ended.cause
        assert {Status.RELOGIN_REQUIRED} == {one.status for one in house.publisher.shown.values()}

    async def test_an_operator_who_has_looked_ends_it(self, house: House) -> None:
        """`resume --client`: from then on refusals are believed."""
        house.bed.add(*(grant(name) for name in names(3)))
        await confirm_all(house, 3)
        assert house.bed.inventory.end_storm(ACME, now=house.clock.now())
        house.endpoint.script = [REFUSED] * 3
        assert 3 == list(await house.work()).count("credential.relogin_required")

    async def test_a_few_refusals_among_many_are_believed(self, house: House) -> None:
        """Four of a hundred people withdrew their consent."""
        house.bed.add(*(grant(name) for name in names(100)))
        for _ in range(8):
            await house.work()
        house.clock.advance(HOUR)
        house.endpoint.script = [REFUSED] * 4
        for _ in range(8):
            await house.work()
        house.clock.advance(50 * SECOND)
        house.endpoint.script = [REFUSED] * 4
        assert 4 == list(await house.work()).count("credential.relogin_required")

    async def test_lost_rotations_make_no_storm(self, house: House) -> None:
        """A crash of ours in the middle of many requests explains their refusals."""
        house.bed.add(*(grant(name) for name in names(6)))
        house.endpoint.script = [Uncertain(code="deadline")] * 6
        await house.work()
        house.clock.advance(MINUTE)
        said = await confirm_all(house, 6)
        assert 6 == said.count("credential.relogin_required")


class TestRollback:
    async def test_a_store_behind_what_is_published_presents_nothing(self, house: House) -> None:
        """R11: a restored backup's refresh tokens are spent; presenting one ends the live login."""
        house.bed.add(grant("a"), grant("b"))
        await house.work()
        shown = house.publisher.shown["a"]
        house.publisher.shown["a"] = replace(shown, generation=9, revision=90)
        house.clock.advance(HOUR)
        house.restart()
        before = len(house.presented())
        said = await house.work()
        assert {"credential.held", "credential.refreshed"} <= set(said)
        assert ["refresh-2"] == [one for one in house.presented()[before:] if house.stored("a").reveal() != one]
        assert (Status.HELD, Reason.STORE_BEHIND, 9) == (
            house.publisher.shown["a"].status,
            house.publisher.shown["a"].reason,
            house.publisher.shown["a"].generation,
        )

    async def test_only_the_first_refresh_after_a_start_looks(self, house: House) -> None:
        """While running, what is ahead in Redis is tampering, counted and told; it does not stop refreshing."""
        house.clock.advance(SECOND)
        house.bed.add(grant())
        await house.work()
        house.publisher.shown["a"] = replace(house.publisher.shown["a"], generation=9, revision=90)
        house.clock.advance(HOUR)
        said = await house.work()
        assert "credential.held" not in said
        assert {"credential.refreshed", "redis.revision_ahead_of_store"} <= set(said)

    async def test_what_an_operator_does_before_the_start_does_not_hide_that_the_store_is_old(
        self, house: House
    ) -> None:
        """Found by random sequences: pause and resume carried our revision past Redis', and with it went the evidence."""
        house.bed.add(grant())
        await house.work()
        shown = house.publisher.shown["a"]
        house.publisher.shown["a"] = replace(shown, generation=shown.generation + 1, revision=shown.revision + 1)
        house.clock.advance(HOUR)
        house.restart()
        house.bed.inventory.pause(Selection(id="a"), now=house.clock.now())
        house.bed.inventory.resume(Selection(id="a"), now=house.clock.now())
        await house.publication.round()
        before = len(house.presented())
        said = await house.work()
        assert ("credential.held" in house.observer.names(), "credential.refreshed" in said) == (True, False)
        assert before == len(house.presented())

    async def test_a_pause_in_an_old_store_is_shown_at_once(self, house: House) -> None:
        """Its counters had met those of Redis, which says something else: the token stayed readable."""
        house.bed.add(grant())
        await house.work()
        shown = house.publisher.shown["a"]
        house.publisher.shown["a"] = replace(shown, generation=shown.generation + 1, revision=shown.revision + 1)
        house.clock.advance(SECOND)
        house.restart()
        house.bed.inventory.pause(Selection(id="a"), now=house.clock.now())
        await house.work()
        await house.work()
        assert Status.PAUSED is house.publisher.shown["a"].status
        assert 1 == house.observer.names().count("credential.held")

    async def test_what_was_refreshed_since_the_start_is_newer_than_anything_that_is_shown(self, house: House) -> None:
        """Redis was away when an old store was started, and its token was still good: what it got is shown."""
        house.bed.add(grant())
        await house.work()
        house.publisher.shown["a"] = replace(house.publisher.shown["a"], generation=9, revision=90)
        house.clock.advance(HOUR)
        house.restart()
        house.publisher.down = True
        house.clock.advance(SECOND)
        await house.work()
        house.publisher.down = False
        house.clock.advance(10 * SECOND)
        await house.work()
        await house.work()
        assert ("access-2", 9) == (house.token("a"), house.publisher.shown["a"].generation)

    async def test_without_redis_it_lets_pass(self, house: House) -> None:
        """An outage of Redis does not stop refreshing."""
        house.bed.add(grant())
        house.publisher.down = True
        assert "credential.refreshed" in await house.work()
        assert not any(isinstance(one, CredentialHeld) for one in house.observer.events)

    async def test_a_restored_store_with_the_newest_token_goes_on_above_what_is_published(self, house: House) -> None:
        """Found by random sequences: at the next refresh both counted the same, and the new token was never shown."""
        house.bed.add(grant())
        await house.work()
        shown = house.publisher.shown["a"]
        house.publisher.shown["a"] = replace(shown, revision=shown.revision + 1)
        house.restart()
        await house.work()
        house.clock.advance(HOUR)
        await house.work()
        assert "access-2" == house.token("a")

    async def test_what_was_let_pass_without_redis_is_looked_at_before_it_is_repeated(self, house: House) -> None:
        """Found by random sequences: a restored store, Redis away, a provider away; then a spent token was presented."""
        house.bed.add(grant())
        await house.work()
        house.publisher.shown["a"] = replace(house.publisher.shown["a"], generation=9, revision=90)
        house.clock.advance(HOUR)
        house.restart()
        house.publisher.down = True
        house.endpoint.script = [Deferred(code="dns")]
        assert "credential.refresh_deferred" in await house.work()
        house.publisher.down = False
        house.clock.advance(10 * MINUTE)
        assert "credential.held" in await house.work()

    async def test_another_stores_keys_are_left_alone_until_adopted(self, house: House) -> None:
        """Nothing is published, both names are said once; `adopt --all` takes the keys over with counters that win."""
        house.bed.add(grant())
        house.publisher.meta = "theirs"
        await house.work()
        for _ in range(3):
            house.clock.advance(6 * SECOND)
            await house.publication.round()
        assert ({}, 1) == (house.publisher.shown, house.observer.names().count("redis.foreign_meta"))
        house.bed.inventory.adopt_keys(now=house.clock.now())
        house.clock.advance(6 * SECOND)
        await house.publication.round()
        await house.publication.round()
        assert ("access-1", "ours") == (house.token("a"), house.publisher.meta)

    async def test_what_was_adopted_goes_on_from_the_counters_met(self, house: House) -> None:
        """A revision never goes back, even across two stores."""
        house.bed.add(grant())
        await house.work()
        theirs = replace(house.publisher.shown["a"], generation=70, revision=700)
        house.publisher.shown["a"], house.publisher.meta = theirs, "theirs"
        house.publication.show_again("test")
        await house.publication.round()
        house.bed.inventory.adopt_keys(now=house.clock.now())
        house.clock.advance(6 * SECOND)
        await house.publication.round()
        await house.publication.round()
        shown = house.publisher.shown["a"]
        assert (70, 701, "access-1") == (shown.generation, shown.revision, house.token("a"))

    async def test_a_new_login_is_not_held_for_what_an_old_store_had_published(self, house: House) -> None:
        """Its token is newer than what Redis shows, whatever the counters say."""
        house.bed.add(grant())
        await house.work()
        house.publisher.shown["a"] = replace(house.publisher.shown["a"], generation=9, revision=90)
        house.clock.advance(HOUR)
        house.restart()
        house.clock.advance(SECOND)
        house.bed.add(grant(token="new-login"), replace=True, now=house.clock.now())
        said = await house.work()
        assert ("credential.refreshed" in said, "credential.held" in said) == (True, False)

    async def test_a_guard_that_cannot_look_rests(self, house: House) -> None:
        """A Redis that hangs must not cost every scan a second."""
        asked = 0

        async def published(ids: list[CredentialId]) -> dict[CredentialId, object]:
            nonlocal asked
            del ids
            asked += 1
            raise PublisherUnavailable("away")

        house.publisher.published = published  # type: ignore[method-assign,assignment]  # a fault of the far side
        house.bed.add(grant("a"))
        await house.work()
        house.bed.add(grant("b"))
        await house.work()
        assert (1, 2) == (asked, len(house.presented()))


class TestClock:
    async def test_a_step_forward_is_believed_and_let_go_slowly(self, tmp_path: Path) -> None:
        """R13: a paused virtual machine's tokens have aged; sixty days ahead all is due, at a tenth of the rate."""
        with House(tmp_path, limits=Limits(max_in_flight=100, max_rate=100.0)) as house:
            house.bed.add(*(grant(f"c{number:03}") for number in range(60)))
            for _ in range(10):
                await house.work()
                house.clock.advance(SECOND)
            before = len(house.presented())
            house.clock.step(timedelta(days=60))
            for _ in range(20):
                house.clock.advance(SECOND / 10)
                await house.work()
        [step] = [one for one in house.observer.events if isinstance(one, ClockStepped)]
        assert (timedelta(days=60), False) == (step.by, step.schedule_moved)
        assert 10 <= len(house.presented()) - before <= 21 + 10

    async def test_a_clock_that_jumped_ahead_proves_nothing_about_logins(self, house: House) -> None:
        """A proof that logins slide holds for ever and silences warnings: it needs a clock that can be believed."""
        house.bed.add(grant())
        await house.work()
        house.clock.step(timedelta(days=60))
        assert "credential.refreshed" in await house.work()
        assert frozenset() == house.bed.inventory.proven_sliding()

    async def test_a_step_backward_makes_no_stall(self, house: House) -> None:
        """A day back: the turn comes after the same time as before."""
        house.bed.add(grant())
        await house.work()
        house.clock.step(-timedelta(days=1))
        await house.work()
        house.clock.advance(56 * MINUTE)
        assert "credential.refreshed" in await house.work()

    async def test_sleep_is_no_step(self, house: House) -> None:
        """After a suspension tokens are as old as they are, and due."""
        house.bed.add(grant())
        await house.work()
        house.clock.suspend(2 * HOUR)
        assert "credential.refreshed" in await house.work()
        assert not any(isinstance(one, ClockStepped) for one in house.observer.events)

    async def test_a_step_during_a_request_does_not_date_its_token_wrongly(self, house: House) -> None:
        """Expiry counts from before the request was sent, in the clock that holds when it is stored."""
        house.bed.add(grant())
        house.endpoint.before_send = lambda: house.clock.step(timedelta(days=3))
        await house.work()
        assert house.publisher.shown["a"].access is not None
        row = house.bed.row("a")
        assert row["expires_at"] == int((house.clock.now() + HOUR).timestamp() * 1_000_000)

    @pytest.mark.parametrize("answer", [Deferred(code="http_503"), Uncertain(code="deadline"), None])
    @pytest.mark.parametrize("looks", [True, False])
    async def test_an_answer_that_was_under_way_when_the_clock_went_back_is_dated_by_the_new_one(
        self, house: House, answer: Outcome | None, *, looks: bool
    ) -> None:
        """Found by random sequences: the old expiry was written back, and a dead token stood in Redis for a day."""
        house.bed.add(grant())
        await house.work()
        house.clock.advance(56 * MINUTE)
        house.endpoint.script = [answer] if answer else []
        house.endpoint.gate = asyncio.Event()
        await house.scanner.scan()
        house.clock.step(-timedelta(days=1))
        if looks:  # else the answer is stored first, and the schedule moves with it
            await house.scanner.scan()
        house.endpoint.gate.set()
        await house.pool.drained()
        await house.scanner.scan()
        expected = house.clock.now() + (4 * MINUTE if answer else HOUR)
        assert expected == EPOCH + timedelta(microseconds=house.bed.row("a")["expires_at"])

    async def test_an_answer_that_waited_for_the_store_when_the_clock_went_back_is_dated_by_the_new_one(
        self, house: House
    ) -> None:
        """The same for one that was settled before the step and stored after it."""
        house.bed.add(grant())
        house.store.commits_fail = True
        await house.scanner.scan()
        await house.observer.until("store.unavailable")
        house.clock.step(-timedelta(days=1))
        await house.timekeeper.look()
        house.store.commits_fail = False
        await house.pool.drained()
        assert house.clock.now() + HOUR == EPOCH + timedelta(microseconds=house.bed.row("a")["expires_at"])

    async def test_an_answer_whose_storing_failed_while_the_clock_went_back_is_dated_by_the_new_one(
        self, house: House
    ) -> None:
        """Found by random sequences: the step was seen after the first try had begun and before it failed."""
        house.bed.add(grant())
        house.store.gate = asyncio.Event()
        await house.scanner.scan()
        await house.endpoint.asked.wait()
        house.clock.step(-timedelta(days=1))
        await house.timekeeper.look()
        house.store.commits_fail = True
        house.store.gate.set()
        await house.observer.until("store.unavailable")
        house.store.commits_fail = False
        await house.pool.drained()
        assert house.clock.now() + HOUR == EPOCH + timedelta(microseconds=house.bed.row("a")["expires_at"])

    async def test_a_refusal_that_was_being_looked_into_when_the_clock_went_back_is_dated_by_the_new_one(
        self, house: House
    ) -> None:
        """It is stored after the schedule has moved, with what it was settled by before."""
        house.bed.add(grant())
        await house.work()
        house.clock.advance(56 * MINUTE)
        house.endpoint.script = [Rejected(code="invalid_grant", confirmation=Confirmation.FAST)]
        house.store.looks_gate = asyncio.Event()
        house.endpoint.asked.clear()
        await house.scanner.scan()
        await house.endpoint.asked.wait()
        house.clock.step(-timedelta(days=1))
        await house.timekeeper.look()
        house.store.looks_gate.set()
        await house.pool.drained()
        assert house.clock.now() + 4 * MINUTE == EPOCH + timedelta(microseconds=house.bed.row("a")["expires_at"])

    async def test_what_is_shown_before_a_step_back_is_seen_lives_as_long_as_the_token(self, house: House) -> None:
        """Found by random sequences: a dead token could be read for as long as the clock had jumped."""
        house.bed.add(grant())
        await house.work()
        house.clock.step(-timedelta(days=1))
        house.publication.show_again("test")
        await house.publication.round()
        assert HOUR == house.publisher.lives["a"]

    async def test_what_was_read_before_the_schedule_moved_is_shown_by_the_old_time(self, house: House) -> None:
        """Its expiry is that of before."""
        house.bed.add(grant())
        await house.work()
        house.store.reads_gate = asyncio.Event()
        house.publication.show_again("test")
        showing = asyncio.create_task(house.publication.round())
        await house.store.read.wait()
        house.clock.step(-timedelta(days=1))
        await house.timekeeper.look()
        house.store.reads_gate.set()
        await showing
        assert HOUR == house.publisher.lives["a"]

    async def test_after_a_step_the_guard_still_knows_what_was_tried_before(self, house: House) -> None:
        """R11: a restored machine's clock is set right at once; that must not let its spent tokens through."""
        house.bed.add(grant())
        await house.work()
        house.publisher.shown["a"] = replace(house.publisher.shown["a"], generation=9, revision=90)
        house.restart()
        house.clock.step(-timedelta(days=2))
        await house.work()
        house.clock.advance(2 * HOUR)
        await house.work()
        assert ("credential.held" in house.observer.names(), 1) == (True, len(house.presented()))


class TestPace:
    async def test_after_an_outage_it_starts_slowly(self, tmp_path: Path) -> None:
        """A tenth of the rate, doubled every ten seconds without an error."""
        with House(tmp_path, limits=Limits(max_in_flight=100, max_rate=100.0)) as house:
            house.bed.add(*(grant(f"c{number:03}") for number in range(400)))
            house.endpoint.script = [Uncertain(code="http_502")] * 10
            await house.work()
            house.clock.advance(2 * MINUTE)
            await house.work()
            assert ["provider_outage"] == [one.cause for one in house.observer.events if isinstance(one, SlowStart)]
            rates = []
            for _ in range(5):
                rates.append(await self.sent_in_a_second(house))
                house.clock.advance(9 * SECOND)
        assert [10, 20, 40, 80] == [pytest.approx(rate, abs=rate // 10 + 10) for rate in rates[:4]]
        assert rates[4] > 90

    async def test_an_ordinary_start_is_not_slow(self, house: House) -> None:
        """Never at an ordinary start."""
        house.bed.add(*(grant(name) for name in names(32)))
        assert 16 == list(await house.work()).count("credential.refreshed")

    async def sent_in_a_second(self, house: House) -> int:
        before = len(house.presented())
        for _ in range(10):
            house.clock.advance(SECOND / 10)
            await house.work()
            house.bed.add(*(grant(f"n{len(house.presented()):05}{number}") for number in range(12)))
        return len(house.presented()) - before


async def test_what_redis_did_not_take_stays_pending_with_its_events(house: House) -> None:
    """A crash or an outage between commit and publication only delays: the events are told when Redis is back."""
    house.bed.add(grant())
    await house.work()
    house.bed.inventory.pause(Selection(id="a"), now=house.clock.now())
    house.publisher.down = True
    assert not await house.publication.round()
    pending = [one.id for one in await house.bed.store.unpublished(limit=9)]
    house.publisher.down = False
    await house.publication.round()
    assert (["a"], [("a", "refreshed"), ("a", "paused")]) == (pending, house.publisher.events)
    assert [] == list(await house.bed.store.unpublished(limit=9))


async def test_a_clock_that_went_back_while_nobody_ran_makes_no_stall(house: House) -> None:
    """R13: at the start it is compared with the store's last sign of life; a little early is cheaper than late."""
    house.bed.add(grant())
    await house.work()
    seen = house.clock.now()
    house.clock.step(-timedelta(days=1))
    house.restart()
    await house.timekeeper.begin(seen)
    house.clock.advance(54 * MINUTE)
    assert "credential.refreshed" in await house.work()


@pytest.mark.parametrize("ahead", [29 * SECOND, timedelta(days=1)])
async def test_a_jump_back_that_is_seen_at_the_start_does_not_cut_a_doubt_short(house: House, ahead: timedelta) -> None:
    """Found by random sequences: with the schedule moved when the request had left, and it was asked again at once (R8)."""
    house.bed.add(grant())
    await house.bed.claim()
    await house.timekeeper.begin(house.clock.now() + ahead)
    await house.bed.store.recover(now=house.clock.now(), settle_delays={ACME: MINUTE})
    assert house.clock.now() + MINUTE == EPOCH + timedelta(microseconds=house.bed.row("a")["next_attempt_at"])


async def test_a_step_back_does_not_stretch_what_a_provider_asked_for(house: House) -> None:
    """Found by simulation: thirty seconds of Retry-After had become an hour without a refresh."""
    house.bed.add(grant("a"), grant("b"))
    house.endpoint.script = [Deferred(code="http_429", throttled=True, retry_after=30 * SECOND)] * 2
    await house.work()
    house.clock.step(-HOUR)
    await house.work()
    house.clock.advance(40 * SECOND)
    assert 2 == list(await house.work()).count("credential.refreshed")


@pytest.mark.timeout(10)
async def test_keys_that_become_anothers_in_the_middle_of_a_republication_are_waited_for(house: House) -> None:
    """Found by simulation: the loop went round and round without ever letting anybody else run."""
    house.bed.add(*(grant(f"c{number:03}") for number in range(450)))
    await house.publication.round()
    house.publisher.meta = "theirs"
    house.clock.advance(6 * SECOND)
    running = asyncio.create_task(house.publication.run())
    await house.observer.until("redis.foreign_meta")
    await quiet()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert 1 == house.observer.names().count("redis.foreign_meta")
