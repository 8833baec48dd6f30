"""The judge of replicas: it blames the provider for nothing but the provider's own standstill, and misses no fault of ours."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from refreshd.demo.dialects import Verdict
from refreshd.demo.grants import IssuedToken, Presentation
from tests.programme.daemons.lateness import lag_of
from tests.programme.sharing.judge import (
    LAPSED,
    Attempt,
    Terms,
    met_at_the_provider,
    repeated_too_early,
    unexplained_reuses,
)

TERMS = Terms(settle_delay=1.0, lease=9.0, slowest=1.2)
LOGINS = {"family-1": "acme/1"}
LOST = Attempt(
    credential="acme/1",
    owner="p1",
    generation=1,
    started_at=100.0,
    ended_at=102.0,
    outcome="uncertain",
    code="deadline",
)
LEASED = replace(LOST, ended_at=109.0, outcome="unknown", code=LAPSED)
HEARD = replace(LOST, ended_at=100.5, outcome="refreshed", code="")
REPEATED = replace(LOST, owner="p2", started_at=103.0, ended_at=103.5, outcome="rejected", code="invalid_grant")


def token(*presented_at: float, verdict: Verdict = Verdict.ROTATED) -> IssuedToken:
    verdicts = [verdict, *([Verdict.REUSED] * (len(presented_at) - 1))]
    looks = [Presentation(at, one, "acme") for at, one in zip(presented_at, verdicts, strict=True)]
    return IssuedToken("rt", "family-1", 0, 90.0, presentations=looks)


def faults(reused: IssuedToken, log: Sequence[Attempt], *standstills: tuple[float, float]) -> list[str]:
    return unexplained_reuses([reused], LOGINS, log, TERMS, lag_of(standstills))


@pytest.mark.parametrize("first", [LOST, LEASED])
def test_a_repetition_of_what_was_not_heard_is_explained(first: Attempt) -> None:
    """Whether its answer did not come or its owner did not wake."""
    assert [] == faults(token(101.0, 110.0), [first, REPEATED])


def test_a_repetition_of_what_was_heard_is_not() -> None:
    """Nor one of what nobody had asked."""
    assert ["presented twice outside doubt"] == [
        text.partition(":")[0] for text in faults(token(100.4, 103.1), [HEARD, REPEATED])
    ]
    assert ["presented twice outside doubt"] == [text.partition(":")[0] for text in faults(token(100.4, 103.1), [])]


def test_a_refused_token_may_come_again() -> None:
    """To confirm a refusal costs nobody a login."""
    assert [] == faults(token(100.4, 103.1, verdict=Verdict.EXPIRED), [HEARD, REPEATED])


def test_a_request_that_lay_in_a_socket_is_the_providers_own_doing() -> None:
    """Both are taken up in the same turn of its loop: only its standstill tells that from a request sent after its attempt."""
    late = token(104.4, 104.401)
    assert [] == faults(late, [LOST, REPEATED], (100.5, 104.0))
    assert ["sent after its attempt was over"] == [text.partition(":")[0] for text in faults(late, [LOST, REPEATED])]
    assert 1 == len(faults(late, [LOST, REPEATED], (90.0, 100.0), (104.3, 104.4)))


@pytest.mark.parametrize(
    ("first", "settled_at"), [(LOST, 103.0), (replace(LOST, ended_at=100.3), 101.3), (LEASED, 109.0)]
)
def test_the_log_alone_shows_a_repetition_before_its_time(first: Attempt, settled_at: float) -> None:
    """To the millisecond, and whatever the provider saw: it is the daemons' own reckoning (protocol R8)."""
    second = replace(REPEATED, ended_at=120.0)
    assert [] == repeated_too_early([replace(second, started_at=settled_at), first], TERMS)
    [text] = repeated_too_early([replace(second, started_at=settled_at - 0.001), first], TERMS)
    assert text.startswith("asked again 0.001 s too early")


def test_what_was_heard_or_is_another_token_may_follow_at_once() -> None:
    """Only the same token of the same credential is a repetition."""
    soon = replace(REPEATED, started_at=102.1)
    assert [] == repeated_too_early([HEARD, soon], TERMS)
    assert [] == repeated_too_early([LOST, replace(soon, generation=2)], TERMS)
    assert [] == repeated_too_early([LOST, replace(soon, credential="acme/2")], TERMS)


def test_repetitions_that_met_at_the_provider_are_counted() -> None:
    """A run says how many its judge had to explain."""
    assert 1 == met_at_the_provider([token(101.0, 101.9), token(101.0, 102.0)], TERMS)
