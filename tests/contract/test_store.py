"""The contract of `Store`, for every database that carries it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from refreshd.adapters.sql.inventory import Selection
from refreshd.adapters.sql.schema import EPOCH, to_micros
from refreshd.domain.credential import ClientName, CredentialId, Health, Lane, Reason, Status
from refreshd.domain.events import StreamEvent
from refreshd.domain.outcome import Deferred, Misconfigured, Outcome, Refreshed, Uncertain
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from refreshd.domain.transition import Transition
from refreshd.ports.store import Attempt, Capacity, Committed, Conflict
from tests.contract.stores import ACME, LEASE, OTHER, POLICY, Bed, damage, grant
from tests.fakes import START, success

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def settled(attempt: Attempt, outcome: Outcome) -> Transition:
    return settle(attempt.credential, outcome, POLICY, sent_at=START, now=START + SECOND, draw=0.5)


async def commit(bed: Bed, attempt: Attempt, outcome: Outcome) -> Committed | Conflict:
    return await bed.store.commit(attempt, settled(attempt, outcome), now=START + SECOND)


async def test_a_claim_is_a_durable_intent(bed: Bed) -> None:
    """R1: when a claim returns, attempt, owner and lease are committed, and the row is nobody else's until the lease ends."""
    bed.add(grant())
    [attempt] = await bed.claim()
    row = bed.row("a")
    assert (attempt.id, "p1") == (row["attempt_id"], row["attempt_owner"])
    assert to_micros(START + LEASE - EPOCH) == row["lease_until"] == row["next_attempt_at"]
    assert Secret("refresh-a") == attempt.refresh_token
    assert [] == await bed.claim(START + LEASE - SECOND)


async def test_an_undated_import_is_due_at_once_and_a_dated_one_before_its_expiry(bed: Bed) -> None:
    """What is not known to live is refreshed first."""
    bed.add(
        grant("dated", access_token=Secret("at"), issued_at=START, expires_at=START + HOUR),
        grant("undated", access_token=Secret("at2")),
    )
    [undated] = await bed.claim()
    assert ("undated", Committed()) == (undated.credential.id, await commit(bed, undated, success(lifetime=9 * 3600)))
    due_at = START + HOUR - timedelta(minutes=5) - HOUR * 0.05 * 0.5
    assert [] == await bed.claim(due_at - SECOND)
    assert ["dated"] == [one.credential.id for one in await bed.claim(due_at)]


async def test_claims_keep_the_order_of_work_and_the_capacity(bed: Bed) -> None:
    """In doubt first, then ordinary rows, confirmations last; never more than a client or the whole may start."""
    bed.add(*(grant(name) for name in "abcd"), grant("x", client=OTHER))
    bed.edit("a", lane=int(Lane.CONFIRMING))
    bed.edit("c", lane=int(Lane.IN_DOUBT), in_doubt=1)
    assert ["c"] == [one.credential.id for one in await bed.claim(count=1)]
    assert {"b", "d"} == {one.credential.id for one in await bed.claim(count=2)}
    capacity = {ACME: Capacity(count=5, lease=LEASE), OTHER: Capacity(count=5, lease=LEASE)}
    claims = await bed.store.claim_due(now=START, capacity=capacity, total=1, holding=())
    assert (1, frozenset({ACME, OTHER})) == (len(claims.attempts), claims.more)
    rest = await bed.store.claim_due(now=START, capacity=capacity, total=9, holding=())
    assert (1, frozenset()) == (len(rest.attempts), rest.more)


async def test_a_suspended_client_hides_nobody(bed: Bed) -> None:
    """A capacity of 0 leaves its rows alone and does not use up the total."""
    bed.add(*(grant(f"a{number}") for number in range(50)), grant("x", client=OTHER))
    capacity = {ACME: Capacity(count=0, lease=LEASE), OTHER: Capacity(count=5, lease=LEASE)}
    claims = await bed.store.claim_due(now=START, capacity=capacity, total=5, holding=())
    assert ["x"] == [one.credential.id for one in claims.attempts]


async def test_a_probe_takes_the_credential_that_expires_soonest(bed: Bed) -> None:
    """R9: a suspended client is probed where an answer is needed first."""
    bed.add(*(grant(name) for name in "abc"))
    bed.edit("b", expires_at=to_micros(START - EPOCH))
    capacity = {ACME: Capacity(count=1, lease=LEASE, probe=True)}
    claims = await bed.store.claim_due(now=START, capacity=capacity, total=9, holding=())
    assert ["b"] == [one.credential.id for one in claims.attempts]


async def test_a_commit_stores_both_tokens_and_counts(bed: Bed) -> None:
    """The answer is stored whole: tokens, generation, schedule, revision, and the attempt is closed."""
    bed.add(grant())
    [attempt] = await bed.claim()
    assert Committed() == await commit(bed, attempt, success("new-access", "new-refresh"))
    row = bed.row("a")
    assert (2, 2, None) == (row["generation"], row["revision"], row["attempt_id"])
    [snapshot] = await bed.store.unpublished(limit=10)
    assert snapshot.access is not None
    assert Secret("new-access") == snapshot.access.value
    [again] = await bed.claim(START + HOUR)
    assert Secret("new-refresh") == again.refresh_token


async def test_an_answer_without_refresh_token_keeps_the_old_one(bed: Bed) -> None:
    """R4: a refresh token is never overwritten by nothing."""
    bed.add(grant())
    [attempt] = await bed.claim()
    await commit(bed, attempt, success("new-access", None))
    [again] = await bed.claim(START + HOUR)
    assert (Secret("refresh-a"), 2) == (again.refresh_token, again.credential.generation)


async def test_a_refresh_token_alone_is_stored(bed: Bed) -> None:
    """Persist first, judge later: the login is saved although nothing can be published."""
    bed.add(grant())
    [attempt] = await bed.claim()
    await commit(bed, attempt, Refreshed(access=None, refresh_token=Secret("saved"), code="unreadable_success"))
    [again] = await bed.claim(START + HOUR)
    assert (Secret("saved"), False) == (again.refresh_token, again.credential.in_doubt)


async def test_commits_that_arrive_together_share_a_transaction_and_a_loser_stands_alone(bed: Bed) -> None:
    """Group commit: one stale attempt among many neither takes the others down nor slips through."""
    bed.add(*(grant(f"c{number:02}") for number in range(20)))
    attempts = await bed.claim(count=20)
    bed.edit("c07", attempt_id="somebody-else")
    verdicts = await asyncio.gather(*(commit(bed, one, success(refresh=f"r-{one.credential.id}")) for one in attempts))
    losers = [one.credential.id for one, verdict in zip(attempts, verdicts, strict=True) if verdict != Committed()]
    assert ["c07"] == losers
    assert Conflict(earlier_login=False, rescued=True) in verdicts
    assert 1 == bed.row("c07")["generation"]


async def test_a_commit_needs_attempt_and_generation(bed: Bed) -> None:
    """R5: either alone is not enough."""
    bed.add(grant())
    [attempt] = await bed.claim()
    bed.edit("a", generation=9)
    assert Conflict(earlier_login=False, rescued=True) == await commit(bed, attempt, success())
    bed.edit("a", generation=1, attempt_id=None)
    assert Conflict(earlier_login=False, rescued=True) == await commit(bed, attempt, success())
    bed.edit("a", attempt_id=attempt.id)
    assert Committed() == await commit(bed, attempt, success())


async def test_a_late_answer_of_an_earlier_login_is_told_apart(bed: Bed) -> None:
    """R14: a new login closes the open attempt; what answers it later belongs to another family."""
    bed.add(grant())
    [attempt] = await bed.claim()
    assert 1 == bed.add(grant(token="second-login"), replace=True).replaced
    assert Conflict(earlier_login=True) == await commit(bed, attempt, success())
    row = bed.row("a")
    assert (2, 2) == (row["generation"], row["revision"])
    [fresh] = await bed.claim()
    assert Secret("second-login") == fresh.refresh_token


async def test_a_removed_credential_drops_a_late_answer(bed: Bed) -> None:
    """Removing erases the tokens, and an answer on its way does not bring them back."""
    bed.add(grant())
    [attempt] = await bed.claim()
    bed.inventory.remove(Selection(id="a"), now=START)
    assert Conflict(earlier_login=True) == await commit(bed, attempt, success())
    assert (None, None) == (bed.row("a")["refresh_token"], bed.row("a")["access_token"])


async def test_a_pause_during_a_refresh_loses_neither(bed: Bed) -> None:
    """Walk 2: both changes count a revision, the tokens are stored, and nothing is claimed until the resume."""
    bed.add(grant())
    [attempt] = await bed.claim()
    bed.inventory.pause(Selection(id="a"), now=START)
    assert Committed() == await commit(bed, attempt, success("new-access", "new-refresh"))
    [snapshot] = await bed.store.unpublished(limit=10)
    assert (Status.PAUSED, 2, 3, None) == (snapshot.status, snapshot.generation, snapshot.revision, snapshot.access)
    assert (StreamEvent.PAUSED, StreamEvent.REFRESHED) == snapshot.events
    assert [] == await bed.claim(START + 9 * HOUR)
    bed.inventory.resume(Selection(id="a"), now=START)
    assert 1 == len(await bed.claim(START + 9 * HOUR))


async def test_a_released_claim_is_due_as_before(bed: Bed) -> None:
    """A drain gives back what it did not send: no doubt, no waiting."""
    bed.add(grant())
    [attempt] = await bed.claim()
    await bed.store.release(attempt)
    [again] = await bed.claim()
    assert (False, 1) == (again.credential.in_doubt, again.credential.generation)


async def test_an_open_attempt_found_at_start_is_in_doubt_and_settles(bed: Bed) -> None:
    """R7, R8: retried with the same token, not before the settle delay has passed since the attempt started."""
    bed.add(grant(), grant("b"))
    [attempt] = await bed.claim(count=1)
    name = attempt.credential.id
    delays = {ACME: timedelta(seconds=60)}
    assert 1 == await bed.store.recover(now=START + 20 * SECOND, settle_delays=delays)
    [snapshot] = [one for one in await bed.store.unpublished(limit=9) if one.id == name]
    assert (True, 2) == (snapshot.in_doubt, snapshot.revision)
    assert name not in [one.credential.id for one in await bed.claim(START + 59 * SECOND)]
    [again] = await bed.claim(START + 60 * SECOND)
    assert (name, True, attempt.refresh_token) == (again.credential.id, again.credential.in_doubt, again.refresh_token)
    assert Conflict(earlier_login=False, rescued=True) == await commit(bed, attempt, success())


async def test_what_changed_last_is_published_first(bed: Bed) -> None:
    """A refresh has ended the old token: its successor must not wait behind an import of thousands."""
    bed.add(grant("z"))
    [attempt] = await bed.claim()
    bed.add(*(grant(name) for name in ("a", "b")))
    await commit(bed, attempt, success())
    assert ["z"] == [one.id for one in await bed.store.unpublished(limit=1)]


async def test_a_doubt_from_the_future_waits_no_longer_than_it_must(bed: Bed) -> None:
    """Found by random sequences: the clock went back a day during a stop, and the credential rested for a day."""
    bed.add(grant())
    await bed.claim()
    earlier = START - timedelta(days=1)
    assert 1 == await bed.store.recover(now=earlier, settle_delays={ACME: 60 * SECOND})
    assert earlier + 60 * SECOND == EPOCH + timedelta(microseconds=bed.row("a")["next_attempt_at"])


async def test_recovery_settles_clients_that_are_no_longer_configured(bed: Bed) -> None:
    """No open attempt survives a start, whatever the configuration says now."""
    bed.add(grant("x", client=OTHER))
    await bed.claim(client=OTHER)
    assert 1 == await bed.store.recover(now=START, settle_delays={ACME: SECOND})
    assert 1 == bed.row("x")["in_doubt"]


async def test_a_lapsed_lease_is_taken_up_in_doubt_unless_this_process_still_holds_it(bed: Bed) -> None:
    """R7: another owner's attempt becomes a doubt; our own, still under way after a freeze, is left alone."""
    bed.add(grant())
    await bed.claim()
    later = START + LEASE + SECOND
    capacity = {ACME: Capacity(count=5, lease=LEASE)}
    mine = await bed.store.claim_due(now=later, capacity=capacity, total=5, holding=[CredentialId("a")])
    assert () == tuple(mine.attempts)
    [taken] = await bed.claim(later)
    assert taken.credential.in_doubt


async def test_doubt_is_stored_and_its_row_goes_first(bed: Bed) -> None:
    """An unanswered request leaves the row in doubt, due after the settle delay, ahead of the others."""
    bed.add(grant(), grant("b"))
    [attempt, other] = await bed.claim()
    await commit(bed, attempt, Uncertain(code="deadline"))
    await commit(bed, other, Deferred(code="http_503"))
    [first] = await bed.claim(START + HOUR, count=1)
    assert (attempt.credential.id, True) == (first.credential.id, first.credential.in_doubt)


async def test_an_undecryptable_refresh_token_holds_that_row_alone(bed: Bed) -> None:
    """A damaged row is set aside untouched; the others go on."""
    bed.add(grant(), grant("b"))
    damaged = damage(bed.row("a")["refresh_token"])
    bed.edit("a", refresh_token=damaged)
    capacity = {ACME: Capacity(count=5, lease=LEASE)}
    claims = await bed.store.claim_due(now=START, capacity=capacity, total=5, holding=())
    assert ["b"] == [one.credential.id for one in claims.attempts]
    assert [("a", Reason.UNDECRYPTABLE)] == [(one.id, one.reason) for one in claims.held]
    row = bed.row("a")
    assert (damaged, "held", None) == (bytes(row["refresh_token"]), row["health"], row["attempt_id"])


async def test_an_unreadable_access_token_is_not_shown_and_its_row_goes_on(bed: Bed) -> None:
    """Consumers see no token rather than a wrong one; the refresh replaces it."""
    bed.add(grant(access_token=Secret("at"), issued_at=START, expires_at=START + HOUR))
    bed.edit("a", access_token=b"rubbish")
    [snapshot] = await bed.store.unpublished(limit=1)
    assert None is snapshot.access
    assert 1 == len(await bed.claim(START + HOUR))


async def test_a_ciphertext_moved_to_another_row_does_not_open(bed: Bed) -> None:
    """Associated data binds a token to its row."""
    bed.add(grant(), grant("b"))
    bed.edit("b", refresh_token=bed.row("a")["refresh_token"])
    capacity = {ACME: Capacity(count=5, lease=LEASE)}
    claims = await bed.store.claim_due(now=START, capacity=capacity, total=5, holding=())
    assert ["b"] == [one.id for one in claims.held]


async def test_published_revisions_spend_only_the_events_that_were_shown(bed: Bed) -> None:
    """A change between reading and marking stays pending with its own event."""
    bed.add(grant(access_token=Secret("at"), issued_at=START, expires_at=START + HOUR))
    shown = await bed.store.unpublished(limit=10)
    bed.inventory.pause(Selection(id="a"), now=START)
    await bed.store.mark_published(shown)
    [pending] = await bed.store.unpublished(limit=10)
    assert (StreamEvent.PAUSED,) == pending.events
    await bed.store.mark_published([pending])
    assert [] == list(await bed.store.unpublished(limit=10))
    await bed.store.mark_published(shown)
    assert [] == list(await bed.store.unpublished(limit=10))


async def test_rows_that_are_being_marked_are_left_out(bed: Bed) -> None:
    """And do not take the places of others."""
    bed.add(grant(), grant("b"), grant("c"))
    found = await bed.store.unpublished(limit=1, but=[CredentialId("a"), CredentialId("b")])
    assert "c" in [one.id for one in found]
    assert not {"a", "b"} & {one.id for one in found}


async def test_pages_cover_every_row_once(bed: Bed) -> None:
    """Republication walks all rows by id."""
    names = [f"id{number:03}" for number in range(25)]
    bed.add(*(grant(name) for name in names))
    found, after = [], None
    while page := await bed.store.page(after=after, limit=10):
        found += [one.id for one in page]
        after = page[-1].id
    assert names == found


async def test_warnings_are_given_once_a_step(bed: Bed) -> None:
    """7, 3 and 1 days before the end of the login: one event each, and a new login takes them back."""
    bed.add(grant(login_at=START), grant("b", login_at=START))
    ladders = {ACME: POLICY.ladder}

    async def warned(day: float) -> list[tuple[str, int]]:
        at = START + timedelta(days=day)
        return [(one.id, one.step) for one in await bed.store.warn_relogin(now=at, ladders=ladders, limit=100)]

    assert [] == await warned(22.9)
    assert [("a", 1), ("b", 1)] == sorted(await warned(23))
    assert [] == await warned(23.1)
    assert [("a", 3), ("b", 3)] == sorted(await warned(29.5))
    assert [] == await warned(40)
    snapshots = {str(one.id): one for one in await bed.store.unpublished(limit=9)}
    assert (True, 3) == (snapshots["a"].relogin_soon, snapshots["a"].revision)
    bed.add(grant(token="again"), replace=True, now=START + timedelta(days=29.5))
    assert 0 == bed.row("a")["relogin_step"]


async def test_a_warning_given_during_a_refresh_is_not_given_again(bed: Bed) -> None:
    """The commit knows nothing of a step taken after its claim, so it must not write over it."""
    bed.add(grant(login_at=START - timedelta(days=28)))
    [attempt] = await bed.claim()
    ladders = {ACME: POLICY.ladder}
    assert 1 == len(await bed.store.warn_relogin(now=START, ladders=ladders, limit=9))
    await commit(bed, attempt, success())
    assert 2 == bed.row("a")["relogin_step"]
    assert () == tuple(await bed.store.warn_relogin(now=START + SECOND, ladders=ladders, limit=9))


async def test_a_probe_does_not_ask_with_the_same_refused_row_for_ever(bed: Bed) -> None:
    """One credential that meets the wall alone must not keep its client suspended."""
    bed.add(grant(), grant("b"))
    capacity = {ACME: Capacity(count=1, lease=LEASE, probe=True)}
    asked = []
    for minute in range(4):
        now = START + timedelta(minutes=minute)
        [attempt] = (await bed.store.claim_due(now=now, capacity=capacity, total=1, holding=())).attempts
        asked.append(attempt.credential.id)
        wall = settle(attempt.credential, Misconfigured(code="invalid_client"), POLICY, sent_at=now, now=now, draw=0.5)
        await bed.store.commit(attempt, wall, now=now)
    assert ["a", "b", "a", "b"] == asked


async def test_a_proof_of_sliding_redates_the_whole_registration(bed: Bed) -> None:
    """One refresh past the deadline proves it for every credential of that client, and for no other."""
    bed.add(grant(login_at=START), grant("b", login_at=START), grant("x", client=OTHER, login_at=START))
    late = START + timedelta(days=29)
    await bed.store.warn_relogin(now=late, ladders={ACME: POLICY.ladder, OTHER: POLICY.ladder}, limit=9)
    bed.edit("a", rotated_at=to_micros(late - EPOCH))
    await bed.store.prove_sliding(ACME, lifetime=timedelta(days=30), ladder=POLICY.ladder, now=late)
    rows = {name: bed.row(name) for name in "abx"}
    assert (0, 3, 3) == tuple(row["relogin_step"] for row in rows.values())
    assert to_micros(late + timedelta(days=30) - EPOCH) == rows["a"]["relogin_by"]
    assert {"acme"} == bed.inventory.proven_sliding()


async def test_figures_count_every_row_once(bed: Bed) -> None:
    """Metrics over all rows add up."""
    bed.add(*(grant(name) for name in "abcd"), grant("x", client=OTHER))
    bed.inventory.pause(Selection(id="a"), now=START)
    bed.inventory.remove(Selection(id="b"), now=START)
    bed.edit("c", health=Health.RELOGIN_REQUIRED.value)
    figures = await bed.store.figures(now=START + SECOND)
    assert {"paused": 1, "relogin_required": 1, "active": 1} == dict(figures.clients[ACME].by_status)
    assert {"active": 1} == dict(figures.clients[OTHER].by_status)
    assert (3, SECOND, 5) == (figures.due, figures.overdue, figures.publish_pending)
    assert {bed.sealer.primary_key_id: 5} == dict(figures.rows_by_key)  # the store's own secret is the fifth


async def test_removed_rows_are_forgotten_only_after_redis_has_confirmed(bed: Bed) -> None:
    """The counters outlive the tokens as long as a stale writer could still write."""
    bed.add(grant())
    bed.inventory.remove(Selection(id="a"), now=START)
    assert 0 == await bed.store.forget_removed(before=START + HOUR)
    await bed.store.mark_published(await bed.store.unpublished(limit=9))
    assert 0 == await bed.store.forget_removed(before=START)
    assert 1 == await bed.store.forget_removed(before=START + HOUR)


async def test_an_import_of_a_removed_id_continues_both_counters(bed: Bed) -> None:
    """Consumers never see generation or revision go back."""
    bed.add(grant())
    bed.inventory.remove(Selection(id="a"), now=START)
    before = bed.row("a")
    assert [] == bed.add(grant(token="new-login")).refusals
    after = bed.row("a")
    assert (before["generation"] + 1, before["revision"] + 1, None) == (
        after["generation"],
        after["revision"],
        after["removed_at"],
    )


@pytest.mark.parametrize("rotated", [False, True])
async def test_one_refresh_token_has_one_row_once(bed: Bed, rotated: bool) -> None:  # noqa: FBT001 - a parameter
    """R12: the same token again is unchanged under its id and refused under another, also after it was rotated away."""
    bed.add(grant())
    if rotated:
        [attempt] = await bed.claim()
        await commit(bed, attempt, success())
    before = bed.row("a")
    assert 1 == bed.add(grant()).unchanged
    assert 1 == bed.add(grant(), replace=True).unchanged
    assert before == bed.row("a")
    [(position, reason)] = bed.add(grant("b", token="refresh-a")).refusals
    assert (1, True) == (position, "already belongs to a" in reason)


def test_an_existing_id_is_refused_without_replace(bed: Bed) -> None:
    """A second login must be meant; nothing of the file is written."""
    bed.add(grant())
    result = bed.add(grant("new"), grant(token="other"))
    assert [(2, "a exists; if a person logged in again, add --replace")] == result.refusals
    assert 1 == bed.inventory.count()


def test_doubles_within_one_file_are_refused(bed: Bed) -> None:
    """The same id or the same refresh token twice in one import has no right reading."""
    result = bed.add(grant("a", "t1"), grant("a", "t2"), grant("b", "t1"))
    assert [2, 3] == [position for position, _ in result.refusals]
    assert 0 == bed.inventory.count()


async def test_marking_due_respects_doubt_confirmation_and_leases(bed: Bed) -> None:
    """An operator's wish shortens a plan and a back-off, never a wait that protects the login."""
    dated: dict[str, Any] = {"access_token": Secret("at"), "issued_at": START, "expires_at": START + HOUR}
    bed.add(*(grant(name, **dated) for name in "abcde"))
    bed.edit("b", in_doubt=1)
    bed.edit("c", rejections=1)
    bed.edit("d", paused=1)
    [under_way] = await bed.claim(START + HOUR, count=1)
    done = {name: bed.inventory.mark_due(name, now=START) for name in "abcde"}
    expected = dict.fromkeys("abcde", False) | {name: True for name in "ae" if name != under_way.credential.id}
    assert expected == done
    assert sorted(name for name in "ae" if done[name]) == [one.credential.id for one in await bed.claim()]


async def test_another_environment_or_key_is_refused_and_changes_nothing(bed: Bed, tmp_path: Path) -> None:
    """A store is opened by its own configuration only."""
    bed.add(grant())
    before = bed.row("a")
    with pytest.raises(Exception, match="belongs to environment 'production'"):
        replace(bed, environment="staging").__enter__()
    ring = tmp_path / "ring"
    kept = ring.read_text()
    ring.unlink()
    with pytest.raises(Exception, match="the key ring does not hold the store's key"):
        replace(bed).__enter__()
    ring.write_text(kept)
    assert before == bed.row("a")
    assert ClientName("acme") == before["client"]
