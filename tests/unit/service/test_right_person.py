"""Whose login it is: another person's tokens never replace the living ones, and a check that fails loses none."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from refreshd.adapters.sql.inventory import Selection
from refreshd.adapters.sql.revocations import COLUMN
from refreshd.domain.login import Account, Fate, LoggedIn, LoginResult, OtherAccount, Superseded, TokenOwned, Unknown
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from tests.contract.stores import ACME, OTHER, POLICY, grant
from tests.fakes import START, success
from tests.unit.service.desk import Desk, abandoned

SILENT = Unknown(reason="it answered 503")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path) as built:
        yield built


async def test_the_same_person_gets_a_new_login_under_the_old_id(desk: Desk) -> None:
    """R14: same id, new family, flags cleared, the generation goes on, and consumers are told."""
    await desk.run()
    before = desk.bed.row("a")
    desk.bed.edit("a", health="relogin_required", reason="refused", rejections=2, in_doubt=1, failures=3)
    result = await desk.run()
    assert LoggedIn(id=desk.plan.id, client=ACME, replaced=True, account="alice") == result
    row = desk.bed.row("a")
    assert ("active", None, 0, 0, 0) == tuple(
        row[name] for name in ("health", "reason", "rejections", "in_doubt", "failures")
    )
    assert (before["generation"] + 1, before["revision"] + 1) == (row["generation"], row["revision"])
    assert ("refresh-2", "alice") == (desk.stored(), row["account"])
    assert before["family"] != row["family"]
    assert row["unpublished_events"].endswith("recovered,refreshed,")
    assert [] == desk.rows("SELECT id FROM rescued_token")


async def test_another_person_is_refused_and_the_living_login_untouched(desk: Desk) -> None:
    """The row stays to the letter; the new refresh token waits to be revoked by the daemon."""
    await desk.run()
    before = desk.bed.row("a")
    desk.userinfo.account_id = "bob"
    assert OtherAccount(id=desk.plan.id, stored="alice", found="bob", fate=Fate.QUEUED) == await desk.run()
    assert before == desk.bed.row("a")
    [asked] = desk.rows("SELECT * FROM revocation")
    assert ("a", "acme", 0) == (asked["credential_id"], asked["client"], asked["failures"])
    assert Secret("refresh-2") == desk.bed.codec.open(asked["refresh_token"], COLUMN, "a")
    assert [] == desk.rows("SELECT id FROM rescued_token")


async def test_nothing_is_revoked_that_another_credential_may_live_on(desk: Desk) -> None:
    """RFC 7009 §2.1: a provider may end all tokens of a grant with one. Bob's own credential must survive his mistake."""
    await desk.run()
    desk.userinfo.account_id = "bob"
    await desk.run(id=grant("b").id)
    result = await desk.run()
    assert isinstance(result, OtherAccount)
    assert (Fate.SHARED, []) == (result.fate, desk.rows("SELECT id FROM revocation"))


async def test_where_nothing_can_be_revoked_the_tokens_are_dropped(desk: Desk) -> None:
    """And that is said."""
    desk.identification = replace(desk.identification, revocable=False)
    await desk.run()
    desk.userinfo.account_id = "bob"
    result = await desk.run()
    assert isinstance(result, OtherAccount)
    assert (Fate.NO_ENDPOINT, []) == (result.fate, desk.rows("SELECT id FROM revocation"))


async def test_the_new_tokens_are_on_disk_before_anybody_is_asked(desk: Desk) -> None:
    """R3: no second request stands between answer and commit. First login or later one."""
    seen: list[list[object]] = []
    desk.userinfo.while_asked = lambda: seen.append(
        [desk.rows("SELECT id FROM rescued_token") != [], desk.bed.row("a")["generation"]]
    )
    await desk.run()
    await desk.run()
    assert [[False, 1], [True, 1]] == seen


async def test_a_login_that_was_killed_while_it_was_checked_is_finished_by_the_next(desk: Desk) -> None:
    """Nobody has to go to the browser a second time."""
    await desk.run()
    await abandoned(desk)
    assert ("refresh-1", 1) == (desk.stored(), desk.bed.row("a")["generation"])
    result = await desk.run()
    assert isinstance(result, LoggedIn)
    assert (True, "alice", "refresh-2", 2) == (result.resumed, result.account, desk.stored(), len(desk.codes.redeemed))
    assert Secret("access-2") == desk.userinfo.asked[-1]


async def test_a_killed_login_of_another_person_is_refused_by_the_next(desk: Desk) -> None:
    """It is no way round the check."""
    await desk.run()
    await abandoned(desk)
    desk.userinfo.account_id = "bob"
    assert isinstance(await desk.run(), OtherAccount)
    assert ("refresh-1", []) == (desk.stored(), desk.rows("SELECT id FROM rescued_token"))


async def test_a_killed_login_that_can_no_longer_be_checked_gives_way_to_a_new_one(desk: Desk) -> None:
    """Its access token has expired, or it was made through another client."""
    await desk.run()
    await abandoned(desk)
    desk.userinfo.script = [SILENT, SILENT]
    result = await desk.run()
    assert isinstance(result, LoggedIn)
    assert (False, "refresh-3", []) == (result.resumed, desk.stored(), desk.rows("SELECT id FROM rescued_token"))


async def test_a_killed_login_of_another_client_is_not_taken_up(desk: Desk) -> None:
    """Its refresh token would be refused to this one."""
    await desk.run()
    await abandoned(desk)
    with desk.bed.engines.write.begin() as connection:
        connection.execute(text("UPDATE rescued_token SET client = 'other'"))
    result = await desk.run()
    assert isinstance(result, LoggedIn)
    assert (False, "refresh-3") == (result.resumed, desk.stored())


async def test_an_account_is_noted_only_for_the_login_that_it_was_asked_for(desk: Desk) -> None:
    """Something else may have taken the row meanwhile."""
    desk.userinfo.while_asked = lambda: desk.bed.add(grant("a", "imported"), replace=True)
    await desk.run()
    assert ("imported", None) == (desk.stored(), desk.bed.row("a")["account"])


@pytest.mark.parametrize("silent", [1, 2])
async def test_a_directory_that_is_away_ends_no_login(desk: Desk, silent: int) -> None:
    """Asked twice; then the login stands, whose it was stays known, and one line says that nobody could ask."""
    await desk.run()
    desk.userinfo.script = [SILENT] * silent
    result = await desk.run()
    assert isinstance(result, LoggedIn)
    assert (None if silent == 2 else "alice", "refresh-2") == (result.account, desk.stored())
    assert (SILENT.reason if silent == 2 else None) == result.unknown
    assert "alice" == desk.bed.row("a")["account"]


async def test_a_first_login_without_an_account_is_bound_by_the_next(desk: Desk) -> None:
    """Unknown is not somebody else."""
    desk.userinfo.script = [SILENT, SILENT]
    await desk.run()
    assert desk.bed.row("a")["account"] is None
    desk.userinfo.account_id = "bob"
    await desk.run()
    assert "bob" == desk.bed.row("a")["account"]


@pytest.mark.parametrize("endpoint", [None, "https://login.example/me"])
async def test_nobody_is_asked_where_nobody_can_answer(desk: Desk, endpoint: str | None) -> None:
    """No userinfo endpoint, or no access token to ask with: the reason is said."""
    desk.identification = replace(desk.identification, userinfo_endpoint=endpoint)
    desk.codes.script = [replace(success("unused", "refresh-1"), access=None if endpoint else success().access)]
    result = await desk.run()
    assert isinstance(result, LoggedIn)
    assert result.unknown
    assert ([], "refresh-1") == (desk.userinfo.asked, desk.stored())


async def test_accounts_of_different_directories_are_not_compared(desk: Desk) -> None:
    """Moving an id to another provider: its accounts have other names for the same person."""
    desk.bed.add(grant(client=OTHER, account="frameio-user"))
    desk.identification = replace(desk.identification, comparable=frozenset({ACME}))
    result = await desk.run()
    assert isinstance(result, LoggedIn)
    row = desk.bed.row("a")
    assert ("acme", "alice", True) == (row["client"], row["account"], result.replaced)


async def test_another_client_of_the_same_directory_is_compared(desk: Desk) -> None:
    """Or a second registration would be a way round the check."""
    desk.bed.add(grant(client=OTHER, account="bob"))
    assert isinstance(await desk.run(), OtherAccount)
    assert "other" == desk.bed.row("a")["client"]


async def test_a_provider_that_hands_out_the_same_refresh_token_has_made_a_new_login(desk: Desk) -> None:
    """Flags go all the same."""
    await desk.run()
    desk.bed.edit("a", health="relogin_required", reason="refused")
    desk.codes.script = [success("access-2", "refresh-1")]
    assert isinstance(await desk.run(), LoggedIn)
    assert ("active", 2) == (desk.bed.row("a")["health"], desk.bed.row("a")["generation"])


async def test_a_token_of_another_credential_is_never_revoked(desk: Desk) -> None:
    """It is that one's living login."""
    desk.bed.add(grant("b", "shared"))
    await desk.run()
    desk.userinfo.account_id = "bob"
    desk.codes.script = [success("access", "shared")]
    assert TokenOwned(owner=grant("b").id) == await desk.run()
    assert ([], "refresh-1") == (desk.rows("SELECT id FROM revocation"), desk.stored())


@pytest.mark.parametrize("step", ["set_aside", "finish", "refuse"])
async def test_a_store_that_fails_is_asked_until_it_does_not(desk: Desk, step: str) -> None:
    """R6, at every step of a later login."""
    await desk.run()
    desk.userinfo.account_id = "bob" if step == "refuse" else "alice"
    desk.logins.failures = {step: 4}
    assert isinstance(await desk.run(), OtherAccount if step == "refuse" else LoggedIn)
    assert ["database or disk is full"] * 4 == desk.told[2:]


class TestTwoAtOnce:
    """An impatient person starts the command again while the first one still asks whose account it is."""

    async def together(self, desk: Desk, *, then: Callable[[], Awaitable[None]] | None = None) -> list[LoginResult]:
        """The second's result, `then` what `then` does, then the first's; the directory hiccups once for the first."""
        results = []

        async def second() -> None:
            results.append(await desk.run())
            if then:
                await then()

        desk.userinfo.script = [SILENT]
        desk.while_paused = second
        results.append(await desk.run())
        return results

    async def test_a_refresh_token_that_the_daemon_has_spent_is_not_put_back(self, desk: Desk) -> None:
        """The second finished the first one's login, and a refresh came in between: presented again, it would end the login."""
        await desk.run()

        async def rotate() -> None:
            now = desk.clock.now() + timedelta(hours=2)
            [attempt] = await desk.bed.claim(now)
            after = settle(attempt.credential, success(refresh="rotated"), POLICY, sent_at=now, now=now, draw=0.5)
            await desk.bed.store.commit(attempt, after, now=now)

        second, first = await self.together(desk, then=rotate)
        assert isinstance(second, LoggedIn)
        assert isinstance(first, LoggedIn)
        assert [(True, False), (False, True)] == [(one.resumed, one.elsewhere) for one in (second, first)]
        assert ("rotated", 3) == (desk.stored(), desk.bed.row("a")["generation"])

    async def test_a_login_that_was_refused_elsewhere_is_not_stored(self, desk: Desk) -> None:
        """Another command heard that it is somebody else's; its tokens are being revoked."""
        await desk.run()
        desk.userinfo.script = [SILENT, Account(id="bob")]
        results = []

        async def second() -> None:
            results.append(await desk.run())

        desk.while_paused = second
        assert Superseded(id=desk.plan.id) == await desk.run()
        assert isinstance(results[0], OtherAccount)
        assert ("refresh-1", 1) == (desk.stored(), len(desk.rows("SELECT id FROM revocation")))

    async def test_what_another_command_has_stored_is_not_revoked(self, desk: Desk) -> None:
        """The directory tells us of somebody else, but the credential lives on this token already."""
        await desk.run()
        desk.userinfo.script = [SILENT, Account(id="alice"), Account(id="bob")]

        async def second() -> None:
            await desk.run()

        desk.while_paused = second
        assert Superseded(id=desk.plan.id) == await desk.run()
        assert ("refresh-2", []) == (desk.stored(), desk.rows("SELECT id FROM revocation"))

    async def test_what_was_removed_meanwhile_stays_removed(self, desk: Desk) -> None:
        """`remove` erases what waits, too."""
        await desk.run()
        desk.userinfo.while_asked = lambda: desk.bed.inventory.remove(Selection(id="a"), now=START)
        assert Superseded(id=desk.plan.id) == await desk.run()
        assert desk.bed.row("a")["removed_at"] is not None

    async def test_an_abandoned_login_that_goes_away_while_it_is_checked_is_no_end(self, desk: Desk) -> None:
        """The person wanted to log in: the browser is opened."""
        await desk.run()
        await abandoned(desk)
        desk.userinfo.while_asked = lambda: desk.bed.add(grant("a", "imported"), replace=True)
        result = await desk.run()
        assert isinstance(result, LoggedIn)
        assert ("refresh-3", False, 3) == (desk.stored(), result.resumed, len(desk.codes.redeemed))


async def test_an_account_that_cannot_be_noted_costs_no_login(desk: Desk) -> None:
    """The tokens are stored; only whose they are is not known."""
    desk.logins.failures = {"bind": 1}
    result = await desk.run()
    assert isinstance(result, LoggedIn)
    assert (None, "it could not be stored: database or disk is full") == (result.account, result.unknown)


async def test_a_pause_stays_and_is_said(desk: Desk) -> None:
    """The operator's switch is not a flag of the login."""
    await desk.run()
    desk.bed.inventory.pause(Selection(id="a"), now=START)
    result = await desk.run()
    assert isinstance(result, LoggedIn)
    assert (True, 1) == (result.paused, desk.bed.row("a")["paused"])


async def test_a_removed_id_belongs_to_nobody(desk: Desk) -> None:
    """`remove` is how an id is given to another account; the generation goes on, so that a stale writer still loses."""
    await desk.run()
    desk.bed.inventory.remove(Selection(id="a"), now=START)
    assert desk.bed.row("a")["account"] is None
    desk.userinfo.account_id = "bob"
    result = await desk.run()
    assert LoggedIn(id=desk.plan.id, client=ACME, replaced=False, account="bob") == result
    assert ("bob", 2, None) == tuple(desk.bed.row("a")[name] for name in ("account", "generation", "removed_at"))


async def test_an_import_over_it_makes_its_account_unknown(desk: Desk) -> None:
    """Nobody was asked whose that one is."""
    await desk.run()
    desk.bed.add(grant("a", "imported"), replace=True)
    assert desk.bed.row("a")["account"] is None


async def test_a_scope_that_was_left_out_is_said(desk: Desk) -> None:
    """It is stored all the same: there is a refresh token."""
    desk.codes.script = [replace(success("access-1", "refresh-1"), scope="read")]
    result = await desk.run()
    assert isinstance(result, LoggedIn)
    assert (("offline",), "read") == (result.missing, desk.bed.row("a")["scope"])
