"""What an outcome means where no login stands behind it: no doubt, no rejection, nobody to call."""

from dataclasses import replace

import pytest
from hypothesis import given

from refreshd.domain.credential import Credential, Health
from refreshd.domain.grant import GrantRefused
from refreshd.domain.machine_grant import read_machine_grant, without_login
from refreshd.domain.outcome import (
    Confirmation,
    Deferred,
    Misconfigured,
    Outcome,
    Phase,
    Refreshed,
    Rejected,
    Uncertain,
)
from refreshd.domain.policy import RefreshPolicy
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from tests.unit.domain.strategies import NOW, credential, credentials, draws, outcomes, policies, policy, refreshed


@given(before=credentials(), outcome=outcomes, rules=policies, draw=draws)
def test_no_outcome_puts_it_in_doubt_or_calls_a_person(
    before: Credential, outcome: Outcome, rules: RefreshPolicy, draw: float
) -> None:
    """Whatever the provider says, of any credential: at worst it is asked again later, or the client is suspended."""
    healthy = replace(before, in_doubt=False, health=Health.ACTIVE, reason=None, rejections=0)
    machine = replace(rules, refresh_lifetime=None)
    after = settle(healthy, without_login(outcome), machine, sent_at=NOW, now=NOW, draw=draw)
    assert (Health.ACTIVE, False, 0) == (after.after.health, after.after.in_doubt, after.after.rejections)
    assert (None, False) == (after.refresh_token, after.withdraw_access)


def test_an_unanswered_request_is_repeated_by_back_off_and_not_settled() -> None:
    """Presenting a secret twice costs nothing; the minute of R8 protects refresh tokens only."""
    mapped = without_login(Uncertain(code="deadline", detail="d", phase=Phase.SENT))
    assert Deferred(code="deadline", detail="d", phase=Phase.SENT) == mapped
    after = settle(credential(), mapped, policy(), sent_at=NOW, now=NOW, draw=0.0).after
    assert after.next_attempt_at is not None
    assert (after.next_attempt_at - NOW).total_seconds() <= 5


@pytest.mark.parametrize("confirmation", Confirmation)
def test_every_refusal_concerns_the_client(confirmation: Confirmation) -> None:
    """There is no login that could be dead."""
    refusal = Rejected(code="invalid_grant", confirmation=confirmation, detail="said so")
    assert Misconfigured(code="invalid_grant", detail="said so") == without_login(refusal)


def test_a_refresh_token_in_the_answer_is_nobodys() -> None:
    """RFC 6749 §4.4.3: there should be none, and nobody would ever present it."""
    kept = without_login(refreshed())
    assert isinstance(kept, Refreshed)
    assert (True, None) == (kept.access is not None, kept.refresh_token)


def test_an_answer_without_an_access_token_is_asked_for_again() -> None:
    """A success that holds nothing we can use."""
    odd = Refreshed(access=None, refresh_token=Secret("rt"), code="no_usable_access_token")
    assert Deferred(code="no_usable_access_token") == without_login(odd)


@pytest.mark.parametrize("outcome", [Deferred(code="http_429", throttled=True), Misconfigured(code="invalid_client")])
def test_what_never_concerned_the_credential_passes(outcome: Outcome) -> None:
    """Nothing of it is lost on the way."""
    assert outcome == without_login(outcome)


def test_an_entry_is_an_id_and_a_client() -> None:
    """From the entry or from the options."""
    by_entry = read_machine_grant({"id": "svc/1", "client": "s2s"}, credential_id=None, client=None)
    assert by_entry == read_machine_grant({}, credential_id="svc/1", client="s2s")
    assert ("svc/1", "s2s", None) == (by_entry.id, by_entry.client, by_entry.refresh_token)


@pytest.mark.parametrize("keys", [["refresh_token"], ["access_token"], ["scope"], ["refresh_token", "scope"]])
def test_an_entry_with_more_is_refused_in_words_and_without_its_value(keys: list[str]) -> None:
    """Somebody took it for a login, or thinks that this scope would be asked for."""
    entry = {"id": "svc/1", "client": "s2s"} | dict.fromkeys(keys, "planted")
    with pytest.raises(GrantRefused) as refusal:
        read_machine_grant(entry, credential_id=None, client=None)
    assert f"; leave out {', '.join(keys)}, give id and client only" in str(refusal.value)
    assert "planted" not in str(refusal.value)


def test_an_error_response_is_not_taken_for_an_entry() -> None:
    """Somebody saved what a callback was refused with."""
    with pytest.raises(GrantRefused, match="this is an error response"):
        read_machine_grant({"id": "svc/1", "client": "s2s", "error": "x"}, credential_id=None, client=None)


def test_an_id_that_is_none_is_refused_here_too() -> None:
    """The same rule for every credential."""
    with pytest.raises(GrantRefused, match="is not allowed"):
        read_machine_grant({"id": "/../x"}, credential_id=None, client="s2s")
