"""The judge is judged: what a refresh token is worth at each instant, and what is remembered of it."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.demo.ledger import Dialect, Family, Grace, Ledger, Verdict
from tests.unit.demo.houses import ALICE, BOB, fields, ledger_of, login, refresh, refusal

DAY = 86400.0


def family(ledger: Ledger, token: str) -> Family:
    found = ledger.family_of(token)
    assert found is not None
    return found


class TestRotation:
    """Each refresh token works once, and takes the old access token with it."""

    def test_a_login_answers_as_a_token_endpoint_does_and_says_when(self) -> None:
        """RFC 6749 §5.1; `refreshd import` reads `issued_at`."""
        answer = ledger_of(access_lifetime=60.0).log_in(ALICE, at=100.9, scope="offline")
        assert {
            "access_token": "token-1",
            "expires_in": 60,
            "refresh_token": "token-0",
            "scope": "offline",
            "token_type": "bearer",
            "issued_at": 100,
        } == answer

    def test_a_login_of_an_unknown_client_is_the_callers_mistake(self) -> None:
        """A test with a typing error stops there."""
        with pytest.raises(KeyError):
            ledger_of().log_in("nobody", at=0)

    def test_a_refresh_brings_the_next_token_and_the_chain_goes_on(self) -> None:
        """Three in a row: serials count, and each was presented once."""
        ledger = ledger_of()
        token = first = login(ledger)
        for at in (1.0, 2.0, 3.0):
            token = refresh(ledger, token, at=at)["refresh_token"]
        chain = family(ledger, first)
        assert [0, 1, 2, 3] == [one.serial for one in chain.tokens]
        assert [1.0, 2.0, 3.0, None] == [one.used_at for one in chain.tokens]
        assert [[Verdict.ROTATED]] * 3 + [[]] == [[seen.verdict for seen in one.presentations] for one in chain.tokens]
        assert [] == ledger.reuses()

    def test_the_old_access_token_dies_at_the_refresh(self) -> None:
        """Strict rotation deletes it in the same transaction, however long it had to live."""
        ledger = ledger_of()
        answer = ledger.log_in(ALICE, at=0)
        old = str(answer["access_token"])
        assert ledger.accepts(old, at=1)
        new = refresh(ledger, str(answer["refresh_token"]), at=2)["access_token"]
        assert (False, True) == (ledger.accepts(old, at=2), ledger.accepts(new, at=2))

    def test_an_access_token_dies_at_its_end(self) -> None:
        """Expiry is exclusive: at the instant itself it is over."""
        ledger = ledger_of(access_lifetime=10.0)
        access = str(ledger.log_in(ALICE, at=0)["access_token"])
        assert (True, False) == (ledger.accepts(access, at=9.9), ledger.accepts(access, at=10))

    def test_a_provider_that_does_not_rotate_leaves_the_refresh_token_out(self) -> None:
        """The old one goes on, for ever; presenting it often is no reuse."""
        ledger = ledger_of(rotates=False)
        token = login(ledger)
        answers = [refresh(ledger, token, at=at) for at in (1.0, 2.0)]
        assert all("refresh_token" not in answer for answer in answers)
        assert answers[0]["access_token"] != answers[1]["access_token"]
        assert Counter({Verdict.KEPT: 2}) == ledger.verdicts
        assert [] == ledger.reuses()

    def test_rules_may_change_at_any_time(self) -> None:
        """A provider that starts to rotate asks nothing of its old tokens but to be used once more."""
        ledger = ledger_of(rotates=False)
        token = login(ledger)
        refresh(ledger, token, at=1)
        ledger.rules = replace(ledger.rules, rotates=True)
        assert "refresh_token" in refresh(ledger, token, at=2)
        assert Verdict.REUSED in _verdicts(ledger, token, at=3)


class TestReuse:
    """A token presented twice is on record, and ends the login where the dialect says so (`test_dialects`)."""

    def test_reuse_revokes_the_family_and_its_access_token(self) -> None:
        """Theft is assumed: neither the thief's token nor the owner's works on."""
        ledger = ledger_of()
        token = login(ledger)
        answer = refresh(ledger, token, at=1)
        assert (400, "invalid_grant") == refusal(ledger.present(ALICE, token, at=2))
        assert (False, Verdict.REUSED, 2) == _death(family(ledger, token))
        assert not ledger.accepts(answer["access_token"], at=2)
        assert (400, "invalid_grant") == refusal(ledger.present(ALICE, answer["refresh_token"], at=3))
        assert [Verdict.ROTATED, Verdict.REUSED] == _verdicts(ledger, token)
        assert [Verdict.REVOKED] == _verdicts(ledger, answer["refresh_token"])
        assert [token] == [one.value for one in ledger.reuses()]

    def test_a_foreign_client_is_refused_and_ends_nobodys_login(self) -> None:
        """A token is bound to its client (RFC 6749 §6), also once it was used."""
        ledger = ledger_of()
        token = login(ledger)
        assert (400, "invalid_grant") == refusal(ledger.present(BOB, token, at=1))
        successor = refresh(ledger, token, at=2)["refresh_token"]
        ledger.present(BOB, token, at=3)
        assert family(ledger, token).alive
        assert refresh(ledger, successor, at=4)
        assert [Verdict.FOREIGN_CLIENT, Verdict.ROTATED, Verdict.FOREIGN_CLIENT] == _verdicts(ledger, token)

    def test_an_unknown_token_is_counted(self) -> None:
        """Nothing to remember it by, but it must not go unnoticed."""
        ledger = ledger_of()
        assert (400, "invalid_grant") == refusal(ledger.present(ALICE, "garbage", at=1))
        assert ledger.family_of("garbage") is None
        assert Counter({Verdict.UNKNOWN: 1}) == ledger.verdicts

    def test_withdrawn_consent_ends_the_family_once(self) -> None:
        """The cause of death is the first one."""
        ledger = ledger_of()
        answer = ledger.log_in(ALICE, at=0)
        token = str(answer["refresh_token"])
        ledger.revoke(family(ledger, token).id, at=5)
        ledger.revoke(family(ledger, token).id, at=6)
        assert (False, Verdict.REVOKED, 5) == _death(family(ledger, token))
        assert not ledger.accepts(str(answer["access_token"]), at=5)
        assert [Verdict.REVOKED] == _verdicts(ledger, token, at=7)


class TestGrace:
    """What a used token still gets, and for how long."""

    def test_same_returns_the_first_answer_again(self) -> None:
        """The one who lost an answer has it now: same tokens, less life."""
        ledger = ledger_of(grace=Grace.SAME, grace_seconds=10.0)
        token = login(ledger)
        first, second = refresh(ledger, token, at=1), refresh(ledger, token, at=5)
        assert {**first, "expires_in": first["expires_in"] - 4} == second
        assert refresh(ledger, second["refresh_token"], at=20)
        assert [Verdict.ROTATED, Verdict.REGRANTED] == _verdicts(ledger, token)
        assert [token] == [one.value for one in ledger.reuses()]

    def test_new_issues_a_second_branch_and_both_live(self) -> None:
        """Hydra's grace: each branch rotates on by itself; only the latest access token lives."""
        ledger = ledger_of(grace=Grace.NEW, grace_seconds=10.0)
        token = login(ledger)
        one, two = refresh(ledger, token, at=1), refresh(ledger, token, at=5)
        assert one["refresh_token"] != two["refresh_token"]
        assert (False, True) == (ledger.accepts(one["access_token"], at=5), ledger.accepts(two["access_token"], at=5))
        assert refresh(ledger, one["refresh_token"], at=20)
        assert refresh(ledger, two["refresh_token"], at=21)
        assert family(ledger, token).alive

    @pytest.mark.parametrize("grace", [Grace.SAME, Grace.NEW])
    def test_the_grace_counts_from_the_first_use_and_ends(self, grace: Grace) -> None:
        """A use within the grace does not prolong it; after it, reuse is theft."""
        ledger = ledger_of(grace=grace, grace_seconds=10.0)
        token = login(ledger)
        for at in (100.0, 109.9):
            refresh(ledger, token, at=at)
        assert (400, "invalid_grant") == refusal(ledger.present(ALICE, token, at=110))
        assert not family(ledger, token).alive

    def test_seconds_without_a_kind_of_grace_are_no_grace(self) -> None:
        """The switch is `grace`."""
        ledger = ledger_of(grace=Grace.NONE, grace_seconds=10.0)
        token = login(ledger)
        refresh(ledger, token, at=1)
        assert Verdict.REUSED in _verdicts(ledger, token, at=1)

    def test_a_dead_family_has_no_grace(self) -> None:
        """Withdrawn is withdrawn."""
        ledger = ledger_of(grace=Grace.NEW, grace_seconds=10.0)
        token = login(ledger)
        refresh(ledger, token, at=1)
        ledger.revoke(family(ledger, token).id, at=2)
        assert [Verdict.ROTATED, Verdict.REUSED] == _verdicts(ledger, token, at=3)


class TestExpiry:
    """The end of a refresh token: sliding or absolute."""

    @pytest.mark.parametrize(("sliding", "verdict"), [(True, Verdict.ROTATED), (False, Verdict.EXPIRED)])
    def test_sliding_counts_from_the_last_rotation_absolute_from_the_login(
        self, *, sliding: bool, verdict: Verdict
    ) -> None:
        """Used on day 20 of 30, asked on day 40."""
        ledger = ledger_of(sliding=sliding)
        token = refresh(ledger, login(ledger), at=20 * DAY)["refresh_token"]
        assert [verdict] == _verdicts(ledger, token, at=40 * DAY)

    def test_an_expired_login_is_dead_and_stays_expired(self) -> None:
        """Only a person can help; asked once more it says the same."""
        ledger = ledger_of()
        token = login(ledger)
        assert [Verdict.EXPIRED] == _verdicts(ledger, token, at=30 * DAY)
        assert (False, Verdict.EXPIRED, 30 * DAY) == _death(family(ledger, token))
        assert [Verdict.EXPIRED] * 2 == _verdicts(ledger, token, at=31 * DAY)

    def test_one_branch_may_expire_while_the_other_lives(self) -> None:
        """The forgotten branch of a grace does not take the used one with it."""
        ledger = ledger_of(grace=Grace.NEW, grace_seconds=10.0)
        token = login(ledger)
        forgotten, used = (refresh(ledger, token, at=at)["refresh_token"] for at in (1.0, 2.0))
        living = refresh(ledger, used, at=20 * DAY)["refresh_token"]
        assert [Verdict.EXPIRED] == _verdicts(ledger, forgotten, at=31 * DAY)
        assert [Verdict.ROTATED] == _verdicts(ledger, living, at=31 * DAY)

    def test_no_lifetime_is_no_end(self) -> None:
        """Some providers' refresh tokens live until they are revoked."""
        ledger = ledger_of(refresh_lifetime=None)
        assert refresh(ledger, login(ledger), at=10_000 * DAY)


class TestMemory:
    """`keep`: a long run forgets the past, not its meaning."""

    def test_a_dropped_token_is_still_known_as_used(self) -> None:
        """It ends the family as it would have, and comes back as evidence."""
        ledger = ledger_of(keep=2)
        first = token = login(ledger)
        for at in range(1, 10):
            token = refresh(ledger, token, at=at)["refresh_token"]
        chain = family(ledger, first)
        assert ([8, 9], 10) == ([one.serial for one in chain.tokens], chain.issued)
        ledger.present(ALICE, first, at=20)
        assert (False, Verdict.REUSED, 20) == _death(chain)
        assert [(first, 0)] == [(one.value, one.serial) for one in ledger.reuses()]
        assert Counter({Verdict.ROTATED: 9, Verdict.REUSED: 1}) == chain.verdicts == ledger.verdicts

    def test_a_family_keeps_its_latest_token(self) -> None:
        """Less than one would be none."""
        with pytest.raises(ValueError, match="at least"):
            ledger_of(keep=0)

    def test_presentations_of_a_token_that_lives_on_are_dropped_too(self) -> None:
        """A provider that does not rotate sees one token a million times."""
        ledger = ledger_of(rotates=False, keep=3)
        token = login(ledger)
        for at in range(10):
            refresh(ledger, token, at=at)
        assert [7, 8, 9] == [seen.at for seen in family(ledger, token).tokens[0].presentations]
        assert 10 == ledger.verdicts[Verdict.KEPT]


@given(
    steps=st.lists(st.tuples(st.integers(0, 11), st.sampled_from((0.0, 1.0, 4.0, 30.0))), max_size=60),
    grace=st.sampled_from(Grace),
    dialect=st.sampled_from(Dialect),
    keep=st.integers(1, 3),
)
def test_what_is_kept_in_memory_changes_no_verdict(
    steps: list[tuple[int, float]], grace: Grace, dialect: Dialect, keep: int
) -> None:
    """Any tokens in any order at any pace: the forgetful ledger answers byte for byte as the one that keeps all."""
    rules: dict[str, Any] = {"grace": grace, "grace_seconds": 5.0, "dialect": dialect, "refresh_lifetime": 100.0}
    full, forgetful = ledger_of(**rules), ledger_of(keep=keep, **rules)
    seen = [login(full), login(full, client=ALICE)]
    assert seen == [login(forgetful), login(forgetful)]
    at = 0.0
    for back, pause in steps:
        at += pause
        token = seen[max(0, len(seen) - 1 - back)]
        reply = full.present(ALICE, token, at=at)
        assert reply == forgetful.present(ALICE, token, at=at)
        if reply.status == 200 and (new := fields(reply)["refresh_token"]) not in seen:
            seen.append(new)
    assert full.verdicts == forgetful.verdicts
    assert [one.value for one in full.reuses()] == [one.value for one in forgetful.reuses()]


@given(st.lists(st.integers(0, 30), max_size=80), st.sampled_from(Dialect))
def test_without_grace_a_family_has_at_most_one_usable_token(picks: list[int], dialect: Dialect) -> None:
    """The invariant of strict rotation, whatever is presented."""
    ledger = ledger_of(dialect=dialect)
    seen = [login(ledger)]
    for at, pick in enumerate(picks):
        reply = ledger.present(ALICE, seen[pick % len(seen)], at=float(at))
        if reply.status == 200:
            seen.append(fields(reply)["refresh_token"])
    chain = family(ledger, seen[0])
    assert [chain.tokens[-1]] == [token for token in chain.tokens if token.used_at is None]
    assert all(sum(one.verdict is Verdict.ROTATED for one in token.presentations) < 2 for token in chain.tokens)


def _verdicts(ledger: Ledger, token: str, *, at: float | None = None) -> list[Verdict]:
    """How every presentation of this token was judged, after one more at `at` if given."""
    if at is not None:
        ledger.present(ALICE, token, at=at)
    return [seen.verdict for one in family(ledger, token).tokens if one.value == token for seen in one.presentations]


def _death(of: Family) -> tuple[bool, Verdict | str | None, float | None]:
    return of.alive, of.died_because, of.died_at
