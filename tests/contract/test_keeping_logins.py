"""What every store keeps so that no login is lost: rescued tokens, the attempt log, storms, holds, the order of work."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from refreshd.adapters.sql.inventory import Selection
from refreshd.adapters.sql.store import SqlStore
from refreshd.domain.credential import CredentialId, Lane, Reason
from refreshd.domain.outcome import Confirmation, Deferred, Outcome, Phase, Rejected, Uncertain
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from refreshd.domain.storm import LONGEST
from refreshd.domain.transition import Transition
from refreshd.ports.publisher import Counters
from refreshd.ports.store import Attempt, Capacity, Committed, Conflict
from tests.contract.stores import ACME, LEASE, OTHER, POLICY, Bed, grant
from tests.fakes import START, success

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
REFUSED = Rejected(code="invalid_grant", confirmation=Confirmation.FAST)


@pytest.fixture
def other(bed: Bed) -> Iterator[SqlStore]:
    """A second process on the same rows, as after a lease ran out."""
    store = SqlStore(bed.engines, bed.codec, owner="p2")
    yield store
    store.close()


def settled(attempt: Attempt, outcome: Outcome, now: datetime = START) -> Transition:
    return settle(attempt.credential, outcome, POLICY, sent_at=now, now=now, draw=0.5)


async def commit(bed: Bed, attempt: Attempt, outcome: Outcome, now: datetime = START) -> Committed | Conflict:
    return await bed.store.commit(attempt, settled(attempt, outcome, now), now=now)


async def claim(store: SqlStore, now: datetime) -> Attempt:
    claims = await store.claim_due(now=now, capacity={ACME: Capacity(count=1, lease=LEASE)}, total=1, holding=())
    [attempt] = claims.attempts
    return attempt


class TestRescue:
    async def test_a_token_whose_attempt_lost_its_row_is_put_aside(self, bed: Bed, other: SqlStore) -> None:
        """R5: the row had changed hands; the answer's refresh token may be the only living one."""
        bed.add(grant())
        late = await claim(bed.store, START)
        taken_over = await claim(other, START + LEASE)
        answer = success("late-access", "late-refresh")
        assert Conflict(earlier_login=False, rescued=False) == await commit(bed, late, Uncertain(code="deadline"))
        assert Conflict(earlier_login=False, rescued=True) == await commit(bed, late, answer)
        found = await other.rescued(taken_over)
        assert found is not None
        assert found.access is not None
        assert (Secret("late-refresh"), Secret("late-access")) == (found.refresh_token, found.access.value)

    async def test_the_newest_is_found_and_adopting_it_spends_it(self, bed: Bed, other: SqlStore) -> None:
        """Each is tried once; what is adopted stands in the row."""
        bed.add(grant())
        late = await claim(bed.store, START)
        taken_over = await claim(other, START + LEASE)
        for name in ("first", "second"):
            await commit(bed, late, success(refresh=name), START + (name == "second") * SECOND)
        found = await other.rescued(taken_over)
        assert found is not None
        adopting = settled(taken_over, success(refresh=found.refresh_token.reveal()))
        verdict = await other.commit(taken_over, replace(adopting, adopts=found.id), now=START)
        assert Committed() == verdict
        again = await other.rescued(taken_over)
        assert again is not None
        assert (Secret("second"), Secret("first")) == (found.refresh_token, again.refresh_token)

    async def test_a_rotation_that_worked_later_has_spent_it(self, bed: Bed, other: SqlStore) -> None:
        """Taken up weeks later, on one stray refusal, it would be reuse: the end of a login that was well."""
        bed.add(grant())
        late = await claim(bed.store, START)
        taken_over = await claim(other, START + LEASE)
        await commit(bed, late, success(refresh="late"), START + LEASE)
        later = START + LEASE + MINUTE
        await other.commit(taken_over, settled(taken_over, success(refresh="next"), later), now=later)
        assert await bed.store.rescued(await claim(bed.store, START + timedelta(hours=2))) is None

    async def test_what_was_stored_already_is_no_conflict(self, bed: Bed) -> None:
        """A commit whose confirmation was lost is asked again: nothing to rescue."""
        bed.add(grant())
        attempt = await claim(bed.store, START)
        assert [Committed()] * 2 == [await commit(bed, attempt, success(refresh="new")) for _ in range(2)]
        assert await bed.store.rescued(attempt) is None

    async def test_a_stored_failure_is_recognised_too(self, bed: Bed) -> None:
        """It changed no token: the attempt's own entry in the log says that it was stored, when COMMIT's answer was lost."""
        bed.add(grant())
        [attempt] = await bed.claim()
        outcome = Deferred(code="http_503")
        assert [Committed()] * 2 == [await commit(bed, attempt, outcome), await commit(bed, attempt, outcome)]
        assert 1 == bed.row("a")["failures"]

    async def test_only_its_own_family_may_take_it_up(self, bed: Bed, other: SqlStore) -> None:
        """A new login is another family, and forgets what was put aside for the old one."""
        bed.add(grant())
        late = await claim(bed.store, START)
        await claim(other, START + LEASE)
        await commit(bed, late, success(refresh="late"))
        bed.add(grant(token="new-login"), replace=True, now=START + LEASE)
        fresh = await claim(bed.store, START + LEASE)
        assert await bed.store.rescued(fresh) is None
        assert Conflict(earlier_login=True) == await commit(bed, late, success(refresh="later"))

    async def test_removal_erases_what_was_put_aside_and_the_history(self, bed: Bed, other: SqlStore) -> None:
        """`remove` leaves no token and no trace of when it was used."""
        bed.add(grant())
        late = await claim(bed.store, START)
        taken_over = await claim(other, START + LEASE)
        await commit(bed, late, success(refresh="late"))
        bed.inventory.remove(Selection(id="a"), now=START)
        assert await other.rescued(taken_over) is None
        assert [] == list(bed.inventory.history("a"))


class TestHistory:
    async def test_each_attempt_leaves_when_generation_outcome_phase_and_owner(self, bed: Bed) -> None:
        """The evidence when a provider disputes."""
        bed.add(grant())
        outcomes: list[Outcome] = [
            Deferred(code="connect_failed", phase=Phase.UNSENT),
            Uncertain(code="deadline", phase=Phase.SENT),
            REFUSED,
            success(),
        ]
        for day, outcome in enumerate(outcomes):
            now = START + timedelta(days=day)
            await commit(bed, await claim(bed.store, now), outcome, now + SECOND)
        entries = bed.inventory.history("a")
        assert [
            ("refreshed", "ok", "answered", 1),
            ("rejected", "invalid_grant", "answered", 1),
            ("uncertain", "deadline", "sent", 1),
            ("deferred", "connect_failed", "unsent", 1),
        ] == [(one.outcome, one.code, one.phase, one.generation) for one in entries]
        assert {("p1", SECOND)} == {(one.owner, (one.ended_at or START) - one.started_at) for one in entries}

    async def test_an_attempt_ends_when_its_answer_came(self, bed: Bed) -> None:
        """Not when a store that was away could at last be told: a repetition is timed by the former (protocol R8)."""
        bed.add(grant())
        attempt = await claim(bed.store, START)
        lost = settled(attempt, Uncertain(code="deadline", phase=Phase.SENT), START + SECOND)
        assert Committed() == await bed.store.commit(attempt, lost, now=START + 20 * SECOND)
        [entry] = bed.inventory.history("a")
        assert START + SECOND == entry.ended_at
        assert START + SECOND + POLICY.settle_delay == lost.after.next_attempt_at

    async def test_an_attempt_that_nobody_ended_is_in_it(self, bed: Bed, other: SqlStore) -> None:
        """Under way, found open at a start, or taken over: how far it came is not known."""
        bed.add(grant())
        await claim(bed.store, START)
        assert [("claimed", "under_way")] == [(one.phase, one.code) for one in bed.inventory.history("a")]
        await claim(other, START + LEASE)
        await bed.store.recover(now=START + LEASE + SECOND, settle_delays={ACME: MINUTE})
        assert [("p2", "process_ended"), ("p1", "lease_ran_out")] == [
            (one.owner, one.code) for one in bed.inventory.history("a")
        ]

    async def test_a_late_answer_leaves_no_trace_of_what_was_removed(self, bed: Bed) -> None:
        """`remove` erases the history, also what would be added to it later."""
        bed.add(grant())
        attempt = await claim(bed.store, START)
        bed.inventory.remove(Selection(id="a"), now=START)
        assert Conflict(earlier_login=True) == await commit(bed, attempt, success())
        assert [] == list(bed.inventory.history("a"))

    async def test_it_is_forgotten_a_few_credentials_at_a_time(self, bed: Bed) -> None:
        """Old entries go, young ones stay, and a round over all of them ends."""
        bed.add(grant("a"), grant("b"), grant("c"))
        for day in (0, 5):
            now = START + timedelta(days=day)
            for attempt in await bed.claim(now):
                await commit(bed, attempt, success(), now)
        before = START + timedelta(days=3)
        after = await bed.store.forget_history(after=None, limit=2, before=before)
        assert "b" == after
        assert [1, 1, 2] == [len(bed.inventory.history(name)) for name in "abc"]
        assert await bed.store.forget_history(after=after, limit=2, before=before) is None
        assert 1 == len(bed.inventory.history("c"))


class TestStorms:
    async def refuse(self, bed: Bed, count: int, now: datetime) -> None:
        for attempt in await bed.claim(now, count=count):
            await commit(bed, attempt, REFUSED, now)

    async def test_refusals_are_counted_without_those_that_we_explain(self, bed: Bed) -> None:
        """A lost rotation is our own fault, an old refusal is history, another client is none of it."""
        bed.add(*(grant(f"c{number}") for number in range(6)), grant("o", client=OTHER))
        await self.refuse(bed, 4, START)
        bed.edit("c0", in_doubt=1)
        bed.edit("c1", attempted_at=0)
        found = await bed.store.refusals(ACME, now=START)
        assert (2, 6) == (found.refused, found.credentials)

    async def test_a_storm_is_remembered_until_it_ends(self, bed: Bed) -> None:
        """Across a restart; its end makes the refused due again and decides from when on refusals count."""
        bed.add(*(grant(f"c{number}") for number in range(3)))
        await self.refuse(bed, 3, START)
        await bed.store.begin_storm(ACME, now=START)
        assert (START, frozenset({ACME})) == (
            (await bed.store.refusals(ACME, now=START)).began_at,
            await bed.store.storms(),
        )
        assert [] == await bed.claim(START + SECOND)
        assert await bed.store.end_storm(ACME, counts_from=START + MINUTE, now=START + SECOND, anew=False)
        assert 3 == len(await bed.claim(START + SECOND))
        calm = await bed.store.refusals(ACME, now=START + MINUTE)
        assert (None, START + MINUTE, 0) == (calm.began_at, calm.counts_from, calm.refused)
        assert not await bed.store.end_storm(ACME, counts_from=START, now=START, anew=True)

    async def test_its_end_by_a_success_asks_everyone_anew(self, bed: Bed) -> None:
        """One stray recovery must not condemn hundreds before the next storm is seen."""
        bed.add(*(grant(f"c{number}") for number in range(3)))
        await self.refuse(bed, 3, START)
        await bed.store.begin_storm(ACME, now=START)
        await bed.store.end_storm(ACME, counts_from=START, now=START, anew=True)
        assert {0} == {one.credential.rejections for one in await bed.claim(START)}

    @pytest.mark.parametrize("anew", [True, False])
    async def test_its_end_hurries_no_doubt(self, bed: Bed, *, anew: bool) -> None:
        """Found by random sequences: a request of ours was still on its way when its token was presented again (R8)."""
        bed.add(*(grant(f"c{number}") for number in range(3)))
        await self.refuse(bed, 3, START)
        bed.edit("c1", in_doubt=1, next_attempt_at=_micros(START + MINUTE))
        await bed.store.begin_storm(ACME, now=START)
        await bed.store.end_storm(ACME, counts_from=START, now=START, anew=anew)
        assert ["c0", "c2"] == sorted(one.credential.id for one in await bed.claim(START + SECOND))

    async def test_old_condemnations_that_heal_in_vain_make_no_storm(self, bed: Bed) -> None:
        """Logins condemned together are tried again together."""
        bed.add(*(grant(f"c{number}") for number in range(6)))
        await self.refuse(bed, 5, START)
        for number in range(5):
            bed.edit(f"c{number}", condemned_at=_micros(START - timedelta(hours=1)))
        assert 0 == (await bed.store.refusals(ACME, now=START)).refused

    async def test_an_operator_ends_it_with_resume(self, bed: Bed) -> None:
        """`resume --client`: believed from then on for a day."""
        bed.add(grant())
        await bed.store.begin_storm(ACME, now=START)
        assert bed.inventory.end_storm(ACME, now=START)
        assert START + LONGEST == (await bed.store.refusals(ACME, now=START)).counts_from


class TestHolding:
    async def test_a_row_behind_what_is_published_is_held_until_adopted(self, bed: Bed) -> None:
        """R11: nothing of it is presented or shown as a token; `adopt` makes it due with counters that win."""
        bed.add(grant(access_token=Secret("old"), expires_at=START + timedelta(hours=1), issued_at=START))
        [attempt] = await bed.claim(START + timedelta(hours=1))
        held = await bed.store.hold(attempt, Counters(generation=7, revision=40), now=START)
        assert held is not None
        assert await bed.store.hold(attempt, Counters(generation=9, revision=90), now=START) is None
        row = bed.row("a")
        assert ("held", "store_behind", 7, 41, None, None) == (
            row["health"],
            row["reason"],
            row["generation"],
            row["revision"],
            row["access_token"],
            row["attempt_id"],
        )
        assert Reason.STORE_BEHIND == held.reason
        assert [] == await bed.claim(START + timedelta(days=9))
        assert 1 == bed.inventory.adopt(Selection(id="a"), now=START)
        [again] = await bed.claim(START)
        assert (7, Secret("refresh-a")) == (again.credential.generation, again.refresh_token)
        assert 0 == bed.inventory.adopt(Selection(id="a"), now=START)

    async def test_counters_are_lifted_above_those_met(self, bed: Bed) -> None:
        """Never lowered, and an open attempt keeps the generation that its answer is compared with."""
        bed.add(grant("a"), grant("b"), grant("c"))
        [attempt] = await bed.claim(count=1)
        bed.edit("c", revision=99, generation=9)
        found = {CredentialId(name): Counters(generation=5, revision=50) for name in "abc"}
        await bed.store.lift(found, now=START)
        names = sorted("abc", key=lambda name: name != attempt.credential.id)
        rows = [(bed.row(name)["generation"], bed.row(name)["revision"]) for name in names if name != "c"]
        assert (99, 9) == (bed.row("c")["revision"], bed.row("c")["generation"])
        assert [(1, 51), (5, 51)] == rows

    async def test_counters_ahead_of_ours_are_overtaken_unless_the_row_is_behind(self, bed: Bed) -> None:
        """R11: held is what was not refreshed since the start; not what is under way, a newer login or a machine."""
        day = timedelta(days=1)
        names = ["asked", "away", "behind", "equal", "login", "machine", "open", "raced", "refreshed", "reached"]
        bed.add(*(grant(name) for name in names))
        for name in names:
            bed.edit(name, attempted_at=_micros(START - day), last_outcome="refreshed", revision=99)
        bed.edit("refreshed", attempted_at=_micros(START + SECOND))
        bed.edit("asked", attempted_at=_micros(START + SECOND), last_outcome="deferred")
        bed.edit("equal", generation=5, revision=49)
        bed.edit("raced", generation=5, revision=50)
        bed.edit("reached", generation=5)
        bed.edit("login", attempted_at=None, last_outcome=None, login_at=_micros(START))
        bed.edit("machine", refresh_token=None)
        bed.edit("open", attempt_id="of another/1")
        bed.edit("away", removed_at=_micros(START), refresh_token=None)
        shown = Counters(generation=5, revision=50, updated_at=START - SECOND)
        held = await bed.store.overtake({CredentialId(name): shown for name in names}, since=START, now=START)
        rows = {name: bed.row(name) for name in names}
        assert ["asked", "behind"] == [one.id for one in held]
        assert {(5, Reason.STORE_BEHIND)} == {(one.generation, one.reason) for one in held}
        assert {"asked", "behind"} == {name for name, row in rows.items() if row["health"] == "held"}
        assert {
            "asked": (5, 100),
            "away": (1, 99),
            "behind": (5, 100),
            "equal": (5, 51),
            "login": (5, 100),
            "machine": (5, 100),
            "open": (1, 99),
            "raced": (5, 50),
            "reached": (5, 99),
            "refreshed": (5, 100),
        } == {name: (row["generation"], row["revision"]) for name, row in rows.items()}

    async def test_of_another_stores_keys_nothing_is_held(self, bed: Bed) -> None:
        """An operator lets us take them."""
        bed.add(grant("a"))
        shown = Counters(generation=5, revision=50, updated_at=START)
        assert [] == await bed.store.overtake({CredentialId("a"): shown}, since=None, now=START)
        assert (5, 51) == (bed.row("a")["generation"], bed.row("a")["revision"])

    async def test_the_permission_to_take_keys_lasts_until_it_is_used_or_ten_minutes(self, bed: Bed) -> None:
        """A crash half way goes on; what was allowed and not needed is not a setting for the rest of the year."""
        assert not await bed.store.may_take_keys(now=START)
        bed.inventory.adopt_keys(now=START)
        asked = [START, START + 9 * MINUTE, START + 11 * MINUTE]
        assert [True, True, False] == [await bed.store.may_take_keys(now=now) for now in asked]
        await bed.store.keys_taken()
        assert not await bed.store.may_take_keys(now=START)


class TestClock:
    async def test_the_schedule_moves_with_the_clock(self, bed: Bed) -> None:
        """R13: what was due in a minute is due in a minute, and consumers are shown the moved expiry; the login's date stays."""
        bed.add(grant(access_token=Secret("t"), issued_at=START, expires_at=START + timedelta(hours=1)))
        await bed.store.mark_published(await bed.store.unpublished(limit=9))
        before = bed.row("a")
        day = timedelta(days=1)
        await bed.store.shift(-day)
        after = bed.row("a")
        gone = day // timedelta(microseconds=1)
        moved = {name for name, value in before.items() if isinstance(value, int) and after[name] == value - gone}
        assert {"issued_at", "expires_at", "refresh_at", "next_attempt_at", "updated_at"} == moved
        assert (before["login_at"], before["relogin_by"]) == (after["login_at"], after["relogin_by"])
        assert ["a"] == [one.id for one in await bed.store.unpublished(limit=9)]

    async def test_answers_that_wait_move_with_it(self, bed: Bed) -> None:
        """What was settled by the old time and comes into the store after the jump would be a day off."""
        bed.add(grant("a"), grant("b"))
        first, second = await claim(bed.store, START), await claim(bed.store, START)
        day = timedelta(days=1)
        await asyncio.gather(*(commit(bed, one, success("t", "r")) for one in (first, second)), bed.store.shift(-day))
        hour = _micros(START + timedelta(hours=1) - day)
        assert [hour, hour] == [bed.row(name)["expires_at"] for name in "ab"]

    async def test_an_answer_that_comes_meanwhile_is_stored_after_it(self, bed: Bed) -> None:
        """It was settled by the new time already: moved once more, a living token would look dead for a day."""
        bed.add(grant("a"), grant("b"))
        first, second = await claim(bed.store, START), await claim(bed.store, START)
        day = timedelta(days=1)
        await asyncio.gather(
            commit(bed, first, success("t", "r")),
            bed.store.shift(-day),
            commit(bed, second, success("t", "r"), now=START - day),
        )
        hour = _micros(START + timedelta(hours=1) - day)
        assert [hour, hour] == [bed.row(name)["expires_at"] for name in "ab"]

    async def test_the_sign_of_life_goes_back_with_the_schedule_alone(self, bed: Bed) -> None:
        """Found by random sequences: after a kill between a jump back and the look that sees it all stood still."""
        bed.add(grant())
        await bed.store.touch(now=START)
        day = timedelta(days=1)
        attempt = await claim(bed.store, START)
        await commit(bed, attempt, success("t", "r"), now=START - day)
        await bed.store.touch(now=START - day)
        assert START == (await bed.store.figures(now=START)).last_commit_at
        await bed.store.shift(-day)
        assert START - day == (await bed.store.figures(now=START)).last_commit_at


class TestOrderOfWork:
    async def taken(self, bed: Bed, now: datetime, **room: object) -> list[str]:
        capacity = {ACME: Capacity(count=1, lease=LEASE, **room)}  # type: ignore[arg-type]  # fields by name
        names = []
        for _ in range(20):
            claims = await bed.store.claim_due(now=now, capacity=capacity, total=1, holding=())
            names += [str(one.credential.id) for one in claims.attempts]
        return names

    async def test_it_is_the_protocols(self, bed: Bed) -> None:
        """§4: in doubt, close to the end of the login, living by their turn, expired, confirmations; retries have a share."""
        now = START + timedelta(days=10)
        bed.add(
            *(grant(name) for name in ("confirming", "expired", "living-2", "living-1", "ending", "doubt", "undated"))
        )
        due = {"next_attempt_at": _micros(now - MINUTE)}
        alive = {"expires_at": _micros(now + MINUTE)}
        bed.edit("confirming", lane=int(Lane.CONFIRMING), **due)
        for name in ("expired", "living-1", "living-2"):
            bed.edit(name, lane=int(Lane.ORDINARY))
        bed.edit("expired", next_attempt_at=_micros(now - timedelta(hours=5)), expires_at=_micros(now - MINUTE))
        bed.edit("undated", next_attempt_at=_micros(now - timedelta(hours=9)))
        bed.edit("living-2", **due, **alive)
        bed.edit("living-1", next_attempt_at=_micros(now - 2 * MINUTE), expires_at=_micros(now + 2 * MINUTE))
        bed.edit("ending", lane=int(Lane.ENDING), **due)
        bed.edit("doubt", lane=int(Lane.IN_DOUBT), in_doubt=1, **due)
        expected = ["doubt", "ending", "living-1", "living-2", "expired", "undated", "confirming"]
        assert expected == await self.taken(bed, now)

    async def test_a_token_that_cannot_make_it_does_not_die_in_front_of_one_that_can(self, bed: Bed) -> None:
        """Earliest deadline first alone would serve tokens that die on the way."""
        bed.add(grant("dying"), grant("living"))
        for name in ("dying", "living"):
            bed.edit(name, lane=int(Lane.ORDINARY))
        bed.edit("dying", next_attempt_at=_micros(START - MINUTE), expires_at=_micros(START + SECOND))
        bed.edit("living", next_attempt_at=_micros(START - SECOND), expires_at=_micros(START + MINUTE))
        assert ["living", "dying"] == await self.taken(bed, START)

    async def test_what_hangs_for_ever_does_not_keep_the_others_out(self, bed: Bed) -> None:
        """Doubts that have failed again and again are repetitions like others."""
        bed.add(*(grant(name) for name in ("new", "hangs-1", "hangs-2")))
        for name in ("hangs-1", "hangs-2"):
            bed.edit(name, in_doubt=1, failures=4, lane=int(Lane.RETRYING))
        assert ["new"] == (await self.taken(bed, START, retries=0))[:1]

    async def test_repetitions_take_their_share_while_first_attempts_wait(self, bed: Bed) -> None:
        """A fifth of the slots: what has failed must not keep out what was never tried, nor be kept out itself."""
        bed.add(*(grant(f"first-{number}") for number in range(4)), *(grant(f"retry-{number}") for number in range(4)))
        for number in range(4):
            bed.edit(f"retry-{number}", lane=int(Lane.RETRYING), failures=1)
        capacity = {ACME: Capacity(count=5, lease=LEASE, retries=1)}
        claims = await bed.store.claim_due(now=START, capacity=capacity, total=9, holding=())
        assert 1 == sum(one.credential.failures for one in claims.attempts)
        rest = await self.taken(bed, START, retries=0)
        assert {"retry"} == {name.partition("-")[0] for name in rest}

    async def test_an_unsent_claim_goes_back_to_its_place(self, bed: Bed) -> None:
        """A drain changes nobody's turn."""
        bed.add(grant())
        bed.edit("a", failures=2, lane=int(Lane.RETRYING))
        [attempt] = await bed.claim()
        await bed.store.release(attempt)
        assert int(Lane.RETRYING) == bed.row("a")["lane"]


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)
