"""A client is suspended and throttled as a whole, probed sparingly, and never for ever (protocol R9, R13)."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.domain.breaker import Breaker, allowance, moved, observe
from refreshd.domain.outcome import Confirmation, Deferred, Misconfigured, Outcome, Rejected, Uncertain
from tests.unit.domain.strategies import DAY, HOUR, MINUTE, NOW, SECOND, outcomes, refreshed, rejected, seconds

BROKEN = Misconfigured(code="invalid_client", detail="secret changed")
LIMITED = Deferred(code="http_429", throttled=True, retry_after=10 * MINUTE)


def after(*steps: tuple[timedelta, Outcome], breaker: Breaker | None = None) -> Breaker:
    """Outcomes of requests that were sent and answered that long after NOW."""
    state = breaker or Breaker()
    for when, outcome in steps:
        state = observe(state, outcome, sent_at=NOW + when, now=NOW + when)
    return state


def open_at(breaker: Breaker, at: datetime) -> int:
    return allowance(breaker, 16, in_flight=0, now=at)


def test_a_healthy_client_uses_all_that_is_free() -> None:
    """Nothing is held back without a reason."""
    assert [allowance(Breaker(), free, in_flight=3, now=NOW) for free in (0, 1, 16)] == [0, 1, 16]


def test_probes_follow_after_one_two_and_then_every_five_minutes() -> None:
    """A client-wide fault costs the provider a handful of requests an hour, not one a credential."""
    breaker, at, waits = Breaker(), NOW, []
    for _ in range(5):
        breaker = observe(breaker, BROKEN, sent_at=at, now=at)
        assert breaker.probe_at is not None
        waits.append(breaker.probe_at - at)
        at = breaker.probe_at
    assert waits == [MINUTE, 2 * MINUTE, 5 * MINUTE, 5 * MINUTE, 5 * MINUTE]


def test_a_suspended_client_sends_nothing_before_the_probe_and_then_one_request() -> None:
    """Suspended means: nothing at all until the probe is due, one request then, no second beside it."""
    breaker = after((timedelta(0), BROKEN))
    assert (breaker.suspended, breaker.cause, breaker.detail) == (True, "invalid_client", "secret changed")
    assert open_at(breaker, NOW + MINUTE - SECOND) == 0
    assert open_at(breaker, NOW + MINUTE) == 1
    assert allowance(breaker, 16, in_flight=1, now=NOW + MINUTE) == 0
    assert allowance(breaker, 0, in_flight=0, now=NOW + MINUTE) == 0


def test_the_longest_waits_are_kept_to_the_last_second() -> None:
    """Five minutes between probes and an hour's `Retry-After` are waits that were asked for, not a clock that stepped."""
    suspended = after((timedelta(0), BROKEN), (MINUTE, BROKEN), (3 * MINUTE, BROKEN))
    probes = [open_at(suspended, NOW + 3 * MINUTE + wait) for wait in (timedelta(0), 5 * MINUTE - SECOND, 5 * MINUTE)]
    assert probes == [0, 0, 1]
    throttled = after((timedelta(0), Deferred(code="http_429", throttled=True, retry_after=HOUR)))
    assert [open_at(throttled, NOW + wait) for wait in (timedelta(0), HOUR - SECOND, HOUR)] == [0, 0, 16]


def test_late_answers_do_not_lengthen_the_longest_suspension() -> None:
    """Whatever was sent before the probe is due is an echo of the same fault."""
    suspended = after((timedelta(0), BROKEN), (MINUTE, BROKEN), (3 * MINUTE, BROKEN))
    for sent in (timedelta(0), MINUTE, 4 * MINUTE):
        late = NOW + 3 * MINUTE + sent
        assert observe(suspended, BROKEN, sent_at=late, now=late + MINUTE) == suspended


def test_late_answers_from_before_the_suspension_do_not_lengthen_it() -> None:
    """Sixteen requests in flight that all fail are one fault, not sixteen."""
    first = observe(Breaker(), BROKEN, sent_at=NOW, now=NOW)
    for outcome in (BROKEN, Uncertain(code="deadline"), Rejected(code="http_401", confirmation=Confirmation.SLOWEST)):
        assert observe(first, outcome, sent_at=NOW, now=NOW + 30 * SECOND) == first


@pytest.mark.parametrize("proof", [refreshed(), rejected("invalid_grant"), rejected("invalid_request")])
def test_an_answer_about_a_credential_ends_the_suspension(proof: Outcome) -> None:
    """A provider that judges the grant has accepted the client."""
    assert after((timedelta(0), BROKEN), (MINUTE, proof)) == Breaker()


@pytest.mark.parametrize(
    "silence",
    [
        Uncertain(code="deadline"),
        Deferred(code="connect_failed"),
        Rejected(code="http_401", confirmation=Confirmation.SLOWEST),
        Deferred(code="http_429", throttled=True, retry_after=timedelta(0)),
    ],
)
def test_a_probe_that_proves_nothing_is_repeated_after_a_minute(silence: Outcome) -> None:
    """An outage in the middle of a suspension neither ends it nor turns probing into hammering."""
    breaker = after((timedelta(0), BROKEN), (MINUTE, silence))
    assert (breaker.cause, breaker.probe_at) == ("invalid_client", NOW + 2 * MINUTE)
    assert open_at(breaker, NOW + MINUTE + SECOND) == 0


def test_only_client_wide_faults_suspend() -> None:
    """No credential's own refusal, and no outage, takes the other credentials' client away."""
    others = (refreshed(), rejected(), Deferred(code="x"), Uncertain(code="x"))
    assert [after((timedelta(0), one)).suspended for one in others] == [False] * len(others)


def test_a_throttled_client_waits_as_long_as_it_was_told() -> None:
    """`Retry-After` with 429 speaks to the whole client."""
    breaker = after((timedelta(0), LIMITED))
    assert [open_at(breaker, NOW + wait) for wait in (timedelta(0), 10 * MINUTE - SECOND, 10 * MINUTE)] == [0, 0, 16]


def test_a_success_that_was_under_way_does_not_lift_the_throttle() -> None:
    """One of sixteen requests is told to wait; the fifteen good answers after it take nothing back."""
    breaker = observe(after((timedelta(0), LIMITED)), refreshed(), sent_at=NOW - SECOND, now=NOW + SECOND)
    assert open_at(breaker, NOW + 2 * SECOND) == 0


def test_a_shorter_wish_does_not_cut_a_longer_one() -> None:
    """Of two Retry-After the later end counts."""
    short = Deferred(code="http_429", throttled=True, retry_after=SECOND)
    assert after((timedelta(0), LIMITED), (SECOND, short)).throttled_until == NOW + 10 * MINUTE
    assert after((timedelta(0), short), (SECOND, LIMITED)).throttled_until == NOW + SECOND + 10 * MINUTE


def test_one_credentials_back_off_does_not_throttle_the_client() -> None:
    """A deferral that concerns one credential leaves the others alone."""
    single = Deferred(code="temporarily_unavailable", retry_after=HOUR)
    assert after((timedelta(0), single)) == Breaker()


def test_a_clock_that_steps_back_stalls_nobody() -> None:
    """Waits are never longer than was ever asked for: a clock set back a day costs no day (R13)."""
    assert open_at(after((timedelta(0), LIMITED)), NOW - DAY) == 16
    suspended = after((timedelta(0), BROKEN))
    assert open_at(suspended, NOW - DAY) == 1
    probed = observe(suspended, BROKEN, sent_at=NOW - DAY, now=NOW - DAY)
    assert (probed.probe_at, open_at(probed, NOW - DAY + SECOND)) == (NOW - DAY + 2 * MINUTE, 0)
    limited_again = observe(after((timedelta(0), LIMITED)), LIMITED, sent_at=NOW - DAY, now=NOW - DAY)
    assert limited_again.throttled_until == NOW - DAY + 10 * MINUTE


@given(
    steps=st.lists(st.tuples(seconds(timedelta(0), 10 * MINUTE), outcomes), max_size=12),
    free=st.integers(min_value=0, max_value=16),
)
def test_whatever_happens_a_client_is_asked_again_within_the_hour(
    steps: list[tuple[timedelta, Outcome]], free: int
) -> None:
    """No sequence of outcomes locks a client out for good, and none lets more than what is free through."""
    breaker, at = Breaker(), NOW
    for wait, outcome in steps:
        at += wait
        breaker = observe(breaker, outcome, sent_at=at, now=at)
        assert breaker.suspended == (breaker.probe_at is not None)
        assert 0 <= allowance(breaker, free, in_flight=0, now=at) <= free
    later = allowance(breaker, free, in_flight=0, now=at + HOUR)
    assert later == (min(1, free) if breaker.suspended else free)


def test_after_a_jump_of_the_clock_the_waits_are_as_long_as_before() -> None:
    """A provider that asked for a second must not be left alone for an hour because the clock went back by one (R13)."""
    until, probe = NOW + timedelta(seconds=1), NOW + timedelta(minutes=2)
    for by in (-timedelta(hours=1), timedelta(days=3)):
        after = moved(Breaker(cause="invalid_client", probe_at=probe, throttled_until=until), by)
        assert (probe + by, until + by, "invalid_client") == (after.probe_at, after.throttled_until, after.cause)
    assert Breaker() == moved(Breaker(), timedelta(hours=1))
