"""One login: nothing is spent that cannot be kept, and nothing that was given is lost."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from refreshd.domain.authorization import AuthorizationCode
from refreshd.domain.callback import Declined, MixedUp, NotOurs, Strange
from refreshd.domain.login import (
    CodeNotRedeemed,
    LoggedIn,
    NoAnswer,
    NoRefreshToken,
    NotReady,
    Silence,
    TokenOwned,
)
from refreshd.domain.outcome import Confirmation, Deferred, Misconfigured, Outcome, Rejected, Uncertain
from refreshd.domain.secret import Secret
from tests.contract.stores import ACME, grant
from tests.fakes import START, success
from tests.unit.service.desk import Desk

REFUSED = Rejected(code="invalid_grant", confirmation=Confirmation.FAST)
AWAY = Deferred(code="client_connector")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path) as built:
        yield built


async def test_a_first_login_becomes_a_credential(desk: Desk) -> None:
    """Stored, dated, and bound to whose it is."""
    desk.clock.advance(timedelta(seconds=7))
    result = await desk.run()
    assert LoggedIn(id=desk.plan.id, client=ACME, replaced=False, account="alice") == result
    row = desk.bed.row("a")
    assert ("refresh-1", 1, "alice", "active") == (desk.stored(), row["generation"], row["account"], row["health"])
    [attempt] = await desk.bed.claim(START + timedelta(hours=1))
    assert Secret("refresh-1") == attempt.refresh_token


async def test_the_code_goes_with_the_verifier_of_its_own_request(desk: Desk) -> None:
    """PKCE and redirect_uri are those that the provider was shown."""
    await desk.run()
    [request], [code] = desk.person.asked, desk.codes.redeemed
    assert AuthorizationCode(code=Secret("code"), verifier=request.verifier, redirect_uri=request.redirect_uri) == code
    assert [request.url] == desk.told


async def test_a_store_that_cannot_keep_an_answer_sends_nobody_to_a_browser(desk: Desk) -> None:
    """Full, locked or read-only: said before anything is asked of a person."""
    desk.logins.failures = {"prepare": 1}
    assert NotReady(fault="database or disk is full") == await desk.run()
    assert ([], [], []) == (desk.told, desk.person.asked, desk.codes.redeemed)


async def test_the_store_proves_itself_by_a_write(desk: Desk) -> None:
    """Reading works on a full disk too."""
    desk.person.answer = lambda _request: NoAnswer(cause=Silence.END_OF_INPUT)
    before = desk.rows("SELECT last_commit_at FROM store")
    await desk.run()
    assert before != desk.rows("SELECT last_commit_at FROM store")


async def test_a_key_that_was_retired_meanwhile_seals_no_answer(desk: Desk) -> None:
    """Nobody could open it any more."""
    with desk.bed.engines.write.begin() as connection:
        connection.execute(text("DELETE FROM key_check"))
    assert NotReady(fault="its encryption key was retired meanwhile") == await desk.run()
    assert [] == desk.told


async def test_a_store_that_filled_up_meanwhile_spends_no_code(desk: Desk) -> None:
    """A person may take minutes; the last look is right before the exchange."""

    def fills_up(request: object) -> AuthorizationCode:
        del request
        desk.logins.failures = {"prepare": 1}
        return AuthorizationCode(code=Secret("code"), verifier=Secret("v"), redirect_uri="http://127.0.0.1/")

    desk.person.answer = fills_up
    assert isinstance(await desk.run(), NotReady)
    assert [] == desk.codes.redeemed


@pytest.mark.parametrize("failures", [1, 12])
async def test_an_answer_is_kept_until_it_is_stored(desk: Desk, failures: int) -> None:
    """R6: told each time, with longer and longer waits, and never given up."""
    desk.logins.failures = {"take_over": failures}
    assert isinstance(await desk.run(), LoggedIn)
    assert ["database or disk is full"] * failures == desk.told[1:]
    assert failures == len(desk.pauses)
    assert max(desk.pauses) <= 5.0
    assert "refresh-1" == desk.stored()


async def test_who_interrupts_an_exchange_still_gets_the_login(desk: Desk) -> None:
    """R2: from the first byte to the commit nobody can call it off."""
    login = desk.login()
    desk.codes.while_asked = login.stop
    desk.logins.failures = {"take_over": 3}
    assert isinstance(await login.run(desk.plan, desk.person), LoggedIn)
    assert "refresh-1" == desk.stored()


async def test_who_interrupts_before_the_first_byte_spends_nothing(desk: Desk) -> None:
    """The code is still good, and nothing was stored."""
    login = desk.login()
    login.stop()
    assert NoAnswer(cause=Silence.INTERRUPTED) == await login.run(desk.plan, desk.person)
    assert ([], []) == (desk.codes.redeemed, desk.rows("SELECT id FROM credential"))


async def test_an_interruption_between_two_tries_sends_no_more(desk: Desk) -> None:
    """A person who gives up while the provider is away is let go."""
    login = desk.login()
    desk.codes.script = [AWAY]
    desk.codes.while_asked = login.stop
    assert NoAnswer(cause=Silence.INTERRUPTED) == await login.run(desk.plan, desk.person)
    assert 1 == len(desk.codes.redeemed)


async def test_a_person_who_does_not_come_is_not_waited_for_for_ever(desk: Desk) -> None:
    """A closed browser sends nothing."""
    desk.person.answer = None
    assert NoAnswer(cause=Silence.TIMED_OUT) == await desk.run(patience=timedelta(0))


async def test_a_wait_for_a_person_can_be_interrupted(desk: Desk) -> None:
    """At once, and no task is left behind."""
    desk.person.answer = None
    login = desk.login()
    running = asyncio.create_task(login.run(desk.plan, desk.person))
    while not desk.person.asked:
        await asyncio.sleep(0)
    login.stop()
    assert NoAnswer(cause=Silence.INTERRUPTED) == await running
    await asyncio.sleep(0)
    assert {asyncio.current_task()} == asyncio.all_tasks()


@pytest.mark.parametrize(
    "answer",
    [Declined(error="access_denied"), MixedUp(expected="a", found="b"), NoAnswer(cause=Silence.END_OF_INPUT)],
)
async def test_what_is_no_code_ends_it_and_changes_nothing(desk: Desk, answer: Declined | MixedUp | NoAnswer) -> None:
    """Nothing was sent, nothing was stored."""
    desk.bed.add(grant())
    before = desk.bed.row("a")
    desk.person.before = [NotOurs(cause=Strange.STATE_FOREIGN)]
    desk.person.answer = lambda _request: answer
    assert answer == await desk.run()
    assert (before, []) == (desk.bed.row("a"), desk.codes.redeemed)
    assert [NotOurs(cause=Strange.STATE_FOREIGN)] == desk.told[1:]


@pytest.mark.parametrize("outcome", [REFUSED, Misconfigured(code="invalid_client"), Uncertain(code="deadline")])
async def test_a_code_that_brings_no_tokens_is_sent_once(desk: Desk, outcome: Outcome) -> None:
    """It may be spent; presenting it again would make the provider revoke what it gave (RFC 6749 §4.1.2)."""
    desk.codes.script = [outcome]
    result = await desk.run()
    assert isinstance(result, CodeNotRedeemed)
    assert (outcome, 1, []) == (result.outcome, len(desk.codes.redeemed), desk.rows("SELECT id FROM credential"))


async def test_what_surely_was_not_processed_is_sent_again(desk: Desk) -> None:
    """A provider that is busy for a moment costs no second login."""
    desk.codes.script = [AWAY, AWAY]
    assert isinstance(await desk.run(), LoggedIn)
    assert ([AWAY.code] * 2, [2.0, 2.0]) == (desk.told[1:], desk.pauses)
    desk.codes.script = [AWAY] * 4
    assert CodeNotRedeemed(outcome=AWAY) == await desk.run()
    assert 3 + 3 == len(desk.codes.redeemed)


async def test_without_a_refresh_token_nothing_is_stored(desk: Desk) -> None:
    """The `offline` scope was not granted: said at once."""
    desk.bed.add(grant())
    before = desk.bed.row("a")
    desk.codes.script = [success(refresh=None)]
    assert NoRefreshToken(required="offline", granted=None) == await desk.run()
    assert before == desk.bed.row("a")


async def test_a_refresh_token_of_another_credential_is_refused(desk: Desk) -> None:
    """R12: two owners would end the login for both."""
    desk.bed.add(grant("b", "refresh-1"))
    assert TokenOwned(owner=grant("b").id) == await desk.run()
    assert [{"id": "b"}] == desk.rows("SELECT id FROM credential")
