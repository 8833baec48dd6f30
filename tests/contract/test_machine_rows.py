"""Rows of clients that ask for themselves: stored without a login, claimed like any, and never in doubt."""

from dataclasses import replace
from datetime import timedelta

from refreshd.domain.machine_grant import without_login
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from refreshd.ports.store import Attempt, Committed
from tests.contract.stores import ACME, LEASE, OTHER, POLICY, Bed, grant, machine_grant
from tests.fakes import START, success

SECOND = timedelta(seconds=1)
MACHINE = replace(POLICY, refresh_lifetime=None)


async def refreshed(bed: Bed, attempt: Attempt, access: str = "access") -> Committed | object:
    outcome = without_login(success(access, "refresh"))
    transition = settle(attempt.credential, outcome, MACHINE, sent_at=START, now=START + SECOND, draw=0.5)
    return await bed.store.commit(attempt, transition, now=START + SECOND)


async def test_it_is_stored_without_any_token_and_due_at_once(bed: Bed) -> None:
    """The daemon fetches the first token at its next look."""
    assert 1 == bed.add(machine_grant()).added
    row = bed.row("a")
    assert (None, None, None) == (row["refresh_token"], row["access_token"], row["key_id"])
    [attempt] = await bed.claim(machine=True)
    assert ("a", None) == (attempt.credential.id, attempt.refresh_token)


async def test_the_answer_is_stored_and_shown_and_no_refresh_token_with_it(bed: Bed) -> None:
    """RFC 6749 §4.4.3: one that comes all the same is nobody's."""
    bed.add(machine_grant())
    [attempt] = await bed.claim(machine=True)
    assert Committed() == await refreshed(bed, attempt)
    row = bed.row("a")
    assert (None, bed.codec.key_id, 2) == (row["refresh_token"], row["key_id"], row["generation"])
    [snapshot] = await bed.store.unpublished(limit=10)
    assert snapshot.access is not None
    assert Secret("access") == snapshot.access.value


async def test_a_row_without_a_login_is_held_where_one_is_needed(bed: Bed) -> None:
    """The client's grant was changed back: without a refresh token nothing can be asked for."""
    bed.add(machine_grant())
    assert [] == await bed.claim()
    assert ("held", "undecryptable") == (bed.row("a")["health"], bed.row("a")["reason"])


async def test_a_login_that_is_no_longer_needed_is_kept_as_it_is(bed: Bed) -> None:
    """The client's grant was changed: a refresh token is never erased, and stays under the row's own key."""
    bed.add(grant())
    [attempt] = await bed.claim(machine=True)
    await refreshed(bed, attempt)
    row = bed.row("a")
    assert (Secret("refresh-a"), bed.codec.key_id) == (
        bed.codec.open(row["refresh_token"], "refresh_token", "a"),
        row["key_id"],
    )


async def test_a_crash_leaves_a_login_in_doubt_and_a_machine_simply_due(bed: Bed) -> None:
    """Nothing that could be lost was presented: no settling, no doubt, and nobody is told of one."""
    bed.add(machine_grant("machine"), grant("login"))
    assert 2 == len(await bed.claim(machine=True))
    later = START + 5 * SECOND
    assert 1 == await bed.store.recover(now=later, settle_delays={ACME: timedelta(seconds=60)})
    assert (0, 1) == (bed.row("machine")["in_doubt"], bed.row("login")["in_doubt"])
    assert 1 == bed.row("machine")["revision"]
    [attempt] = await bed.claim(later, machine=True)
    assert "machine" == attempt.credential.id


async def test_a_lapsed_lease_is_taken_up_without_doubt(bed: Bed) -> None:
    """Its owner vanished; whoever comes next just asks."""
    bed.add(machine_grant())
    await bed.claim(machine=True)
    [attempt] = await bed.claim(START + LEASE, machine=True)
    assert not attempt.credential.in_doubt


def test_the_same_entry_again_changes_nothing(bed: Bed) -> None:
    """An import may be run again, also with --replace: there is no new login in it."""
    bed.add(machine_grant())
    assert (0, 1) == ((again := bed.add(machine_grant())).added, again.unchanged)
    assert 1 == bed.add(machine_grant(), replace=True).unchanged
    assert 1 == bed.row("a")["generation"]


async def test_one_that_is_held_is_set_free_by_replacing_it(bed: Bed) -> None:
    """Its client's grant was changed to and fro; without --replace the person is told that the id exists."""
    bed.add(machine_grant())
    await bed.claim()
    assert 1 == len(bed.add(machine_grant()).refusals)
    assert 1 == bed.add(machine_grant(), replace=True).replaced
    assert ("active", None) == (bed.row("a")["health"], bed.row("a")["reason"])


def test_an_id_that_is_something_else_is_not_replaced_unasked(bed: Bed) -> None:
    """A login, or another client's credential, may be in use under that id."""
    bed.add(grant("login"), machine_grant("other", client=OTHER))
    assert 1 == len(bed.add(machine_grant("login")).refusals)
    assert 1 == len(bed.add(machine_grant("other")).refusals)
    assert 1 == bed.add(machine_grant("login"), replace=True).replaced
    assert (None, 2) == (bed.row("login")["refresh_token"], bed.row("login")["generation"])


def test_two_entries_of_one_id_are_refused_and_two_ids_are_not(bed: Bed) -> None:
    """Only a refresh token has one owner; here there is none."""
    checked = bed.importer.check([machine_grant("a"), machine_grant("a")], replace=False)
    assert [(2, "the same id stands in entry 1")] == checked.refusals
    assert 2 == bed.add(machine_grant("a"), machine_grant("b")).added


async def test_metadata_of_a_provider_replaces_what_was_kept_before(bed: Bed) -> None:
    """A start without the provider takes the newest."""
    from refreshd.adapters.sql import provider_metadata  # noqa: PLC0415 - the only test of it here

    for document in ("{}", "[]"):
        await bed.store.keep_metadata("https://a.example", document, now=START)
    with bed.engines.read.begin() as connection:
        found = provider_metadata.cached(connection, "https://a.example")
        assert provider_metadata.cached(connection, "https://b.example") is None
    assert found is not None
    assert ("[]", START) == (found.document, found.fetched_at)
