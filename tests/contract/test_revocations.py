"""What every store keeps of refresh tokens that are to be revoked."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from refreshd.adapters.sql.engine import StoreRefused
from refreshd.adapters.sql.inventory import Selection
from refreshd.adapters.sql.revocations import SqlRevocations
from refreshd.adapters.sql.schema import revocation
from refreshd.domain.credential import ClientName
from refreshd.domain.outcome import Deferred, Outcome
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from refreshd.domain.transition import Transition
from refreshd.ports.revocation import Revocation
from refreshd.ports.store import Attempt, Conflict
from tests.contract.stores import ACME, LEASE, OTHER, POLICY, Bed, grant
from tests.fakes import START, success

SECOND = timedelta(seconds=1)


def queue(bed: Bed) -> SqlRevocations:
    return SqlRevocations(bed.store.threads, bed.codec)


async def waiting(bed: Bed, *, after: timedelta = timedelta(0), client: ClientName = ACME) -> list[str]:
    """Tokens that may be sent by then."""
    found = await queue(bed).due(client, now=START + after, limit=100)
    return [one.token.reveal() for one in found if one.token is not None]


def settled(attempt: Attempt, outcome: Outcome) -> Transition:
    return settle(attempt.credential, outcome, POLICY, sent_at=START, now=START, draw=0.5)


async def test_what_is_removed_to_be_revoked_waits_sealed_and_leaves_nothing_else(bed: Bed) -> None:
    """The token moves in the removal's own transaction; only the queue can still open it."""
    bed.add(grant("a"), grant("b"))
    assert (1, 1) == bed.inventory.remove_to_revoke(Selection(id="a"), now=START)
    assert None is bed.row("a")["refresh_token"]
    assert ["refresh-a"] == await waiting(bed)
    assert [b"refresh-a" in path.read_bytes() for path in bed.directory.glob("refreshd.db*")].count(True) == 0


async def test_a_plain_removal_queues_nothing(bed: Bed) -> None:
    bed.add(grant("a"))
    bed.inventory.remove(Selection(id="a"), now=START)
    assert {} == dict(await queue(bed).pending())


async def test_all_of_a_client_are_queued_and_no_others(bed: Bed) -> None:
    bed.add(grant("a"), grant("b"), grant("x", client=OTHER))
    assert (2, 2) == bed.inventory.remove_to_revoke(Selection(client=ACME), now=START)
    assert ["refresh-a", "refresh-b"] == sorted(await waiting(bed))
    assert [] == await waiting(bed, client=OTHER)


async def test_a_token_that_cannot_be_read_stops_the_removal(bed: Bed) -> None:
    """Refused as a whole: a login that could not be revoked must not vanish in the crowd."""
    bed.add(grant("a"), grant("b"))
    bed.edit("b", refresh_token=b"rubbish")
    with pytest.raises(StoreRefused, match="b cannot be read"):
        bed.inventory.remove_to_revoke(Selection(client=ACME), now=START)
    assert None is not bed.row("a")["refresh_token"]
    assert {} == dict(await queue(bed).pending())


async def test_a_token_on_its_way_is_not_presented_beside_its_own_refresh(bed: Bed) -> None:
    """While an attempt is open its token waits for the lease's end: revoked before, the late answer would escape."""
    bed.add(grant("a"))
    await bed.claim()
    bed.inventory.remove_to_revoke(Selection(id="a"), now=START)
    assert [] == await waiting(bed, after=LEASE - SECOND)
    assert ["refresh-a"] == await waiting(bed, after=LEASE)


async def test_the_token_of_a_late_answer_is_revoked_too(bed: Bed) -> None:
    """The answer that arrives after the removal holds the live token; both are due at once, under the same request."""
    bed.add(grant("a"))
    (attempt,) = await bed.claim()
    bed.inventory.remove_to_revoke(Selection(id="a"), now=START)
    verdict = await bed.store.commit(attempt, settled(attempt, success("access", "fresh")), now=START + SECOND)
    assert Conflict(earlier_login=True, revoking=True) == verdict
    assert ["fresh", "refresh-a"] == sorted(await waiting(bed, after=SECOND))
    assert (2, []) == bed.inventory.unrevoked(asked_at=START)
    assert None is bed.row("a")["refresh_token"]


async def test_a_late_answer_without_a_token_ends_the_waiting(bed: Bed) -> None:
    """The attempt is over: what is stored is the newest token, and nothing else has to be awaited."""
    bed.add(grant("a"))
    (attempt,) = await bed.claim()
    bed.inventory.remove_to_revoke(Selection(id="a"), now=START)
    verdict = await bed.store.commit(attempt, settled(attempt, Deferred(code="busy")), now=START + SECOND)
    assert Conflict(earlier_login=True, revoking=True) == verdict
    assert ["refresh-a"] == await waiting(bed, after=SECOND)


async def test_a_late_answer_spares_the_login_that_came_after(bed: Bed) -> None:
    """Removed to be revoked, imported anew, then the old family's answer arrives: only the old family is revoked."""
    bed.add(grant("a"))
    (attempt,) = await bed.claim()
    bed.inventory.remove_to_revoke(Selection(id="a"), now=START)
    bed.add(grant("a", "second-login"))
    await bed.store.commit(attempt, settled(attempt, success("access", "fresh")), now=START + SECOND)
    assert ["fresh", "refresh-a"] == sorted(await waiting(bed, after=SECOND))
    (again,) = await bed.claim(START + SECOND)
    assert Secret("second-login") == again.refresh_token


async def test_a_late_answer_of_a_plain_removal_is_dropped(bed: Bed) -> None:
    """Nobody asked for anything to be revoked."""
    bed.add(grant("a"))
    (attempt,) = await bed.claim()
    bed.inventory.remove(Selection(id="a"), now=START)
    verdict = await bed.store.commit(attempt, settled(attempt, success("access", "fresh")), now=START)
    assert Conflict(earlier_login=True) == verdict
    assert {} == dict(await queue(bed).pending())


async def test_rescued_tokens_are_revoked_too(bed: Bed) -> None:
    """An answer that was put aside may be the one live token of the family."""
    bed.add(grant("a"))
    (attempt,) = await bed.claim()
    bed.edit("a", attempt_id="stolen")
    await bed.store.commit(attempt, settled(attempt, success("access", "put-aside")), now=START)
    assert (1, 2) == bed.inventory.remove_to_revoke(Selection(id="a"), now=START + LEASE)
    assert ["put-aside", "refresh-a"] == sorted(await waiting(bed, after=LEASE))


async def test_what_is_put_off_given_up_and_done_leaves_the_queue_as_it_should(bed: Bed) -> None:
    """Put off: later. Given up: the token is erased, the reason known to the command that asked. Done: gone."""
    bed.add(grant("a"), grant("b"), grant("c"))
    bed.inventory.remove_to_revoke(Selection(client=ACME), now=START)
    revocations = queue(bed)
    due = {one.credential_id: one for one in await revocations.due(ACME, now=START, limit=10)}
    await revocations.put_off(due["a"], code="busy", until=START + SECOND)  # type: ignore[index]  # ids are strings
    await revocations.give_up(due["b"], code="unsupported_token_type", now=START)  # type: ignore[index]
    await revocations.done(due["c"])  # type: ignore[index]
    assert [] == await waiting(bed)
    (again,) = await revocations.due(ACME, now=START + SECOND, limit=10)
    assert ("a", 1) == (again.credential_id, again.failures)
    assert (1, ["unsupported_token_type"]) == bed.inventory.unrevoked(asked_at=START)
    await revocations.forget_given_up(before=START + SECOND)
    assert (1, []) == bed.inventory.unrevoked(asked_at=START)


async def test_an_unreadable_entry_is_handed_out_without_a_token(bed: Bed) -> None:
    """So that it is given up, instead of standing first in the queue for ever."""
    bed.add(grant("a"))
    bed.inventory.remove_to_revoke(Selection(id="a"), now=START)
    with bed.engines.write.begin() as connection:
        connection.execute(update(revocation).values(refresh_token=b"\0"))
    (one,) = await queue(bed).due(ACME, now=START, limit=10)
    assert isinstance(one, Revocation)
    assert None is one.token


async def test_entries_of_other_clients_are_orphans(bed: Bed) -> None:
    bed.add(grant("a"), grant("x", client=OTHER))
    bed.inventory.remove_to_revoke(Selection(client=ACME), now=START)
    bed.inventory.remove_to_revoke(Selection(client=OTHER), now=START)
    found = await queue(bed).orphans([ACME], now=START, limit=10)
    assert [OTHER] == [one.client for one in found]


async def test_only_the_removed_family_is_revoked(bed: Bed) -> None:
    """A later login of the same id that was replaced by yet another one: nobody asked for its late answer to be revoked."""
    bed.add(grant("a"))
    bed.inventory.remove_to_revoke(Selection(id="a"), now=START)
    bed.add(grant("a", "second-login"))
    (attempt,) = await bed.claim()
    bed.add(grant("a", "third-login"), replace=True)
    verdict = await bed.store.commit(attempt, settled(attempt, success("access", "fresh")), now=START)
    assert Conflict(earlier_login=True) == verdict
    assert ["refresh-a"] == await waiting(bed)
