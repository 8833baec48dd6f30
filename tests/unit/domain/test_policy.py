"""Arithmetic of instants: refresh in time, back off politely, warn early, believe a refusal slowly."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.domain import policy as rules
from refreshd.domain.outcome import Confirmation
from refreshd.domain.policy import LifetimeFrom, RefreshPolicy
from tests.unit.domain.strategies import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    draws,
    lifetimes,
    near,
    past,
    policies,
    policy,
    seconds,
    spans,
)

ROUNDING = timedelta(microseconds=2)
ZERO = timedelta(0)


@given(policy=policies, lifetime=lifetimes, draw=draws)
def test_a_token_is_refreshed_within_its_life_and_before_its_margin(
    policy: RefreshPolicy, lifetime: timedelta, draw: float
) -> None:
    """Never before it was issued, and never later than the margin before its end, whatever the draw."""
    turn = rules.refresh_at(policy, issued_at=NOW, expires_at=NOW + lifetime, draw=draw)
    latest = max(NOW, NOW + lifetime - rules.margin(policy, lifetime))
    assert NOW <= turn <= latest
    assert latest - turn <= lifetime * policy.spread + ROUNDING


@given(policy=policies, lifetime=lifetimes, draws=st.tuples(draws, draws))
def test_spread_only_ever_means_earlier(policy: RefreshPolicy, lifetime: timedelta, draws: tuple[float, float]) -> None:
    """Chance spreads the load by refreshing sooner; it never eats into the margin."""
    less, more = sorted(draws)
    turns = [rules.refresh_at(policy, issued_at=NOW, expires_at=NOW + lifetime, draw=draw) for draw in (0, less, more)]
    assert turns == sorted(turns, reverse=True)


def test_an_ordinary_token_is_refreshed_minutes_before_its_end() -> None:
    """Frame.io's 3600 s with the defaults: due between 52 and 55 minutes after the request left."""
    turns = [rules.refresh_at(policy(), issued_at=NOW, expires_at=NOW + HOUR, draw=draw) for draw in (0, 1)]
    assert turns == [NOW + 55 * MINUTE, NOW + 52 * MINUTE]


@given(policy=policies, lifetime=lifetimes)
def test_the_margin_shrinks_with_short_lives_but_never_below_two_scans(
    policy: RefreshPolicy, lifetime: timedelta
) -> None:
    """A provider whose tokens live shorter than configured is neither hammered nor served late."""
    floor = 2 * policy.scan_interval
    margin = rules.margin(policy, lifetime)
    assert floor <= margin <= max(policy.refresh_before_expiry, floor)
    if lifetime > 2 * policy.refresh_before_expiry:
        assert margin == max(policy.refresh_before_expiry, floor)
    elif lifetime > 3 * floor:
        assert margin <= lifetime / 2


def test_the_whole_margin_is_for_lives_of_more_than_twice_its_length() -> None:
    """Five minutes of eleven, but a third of ten: a token is not refreshed in the first half of its life."""
    assert [rules.margin(policy(), life * MINUTE) for life in (11, 10)] == [5 * MINUTE, 10 * MINUTE / 3]


def test_the_demos_twenty_second_tokens_get_most_of_their_life() -> None:
    """A third of a short life is margin: 20 s tokens are refreshed after 13 s, 2 s tokens at once."""
    short = [rules.margin(policy(), life * SECOND) for life in (20, 2)]
    assert short == [20 * SECOND / 3, 2 * SECOND]


@given(failures=st.integers(min_value=0, max_value=10**6), expires_at=st.none() | near, draw=draws)
def test_back_off_stays_between_a_second_the_cap_and_a_quarter_of_what_is_left(
    failures: int, expires_at: datetime | None, draw: float
) -> None:
    """No hammering, no more than ten minutes, and several more tries while the access token lives."""
    wait = rules.backoff(failures, now=NOW, expires_at=expires_at, draw=draw)
    ceiling = min(10 * MINUTE, 5 * SECOND * 2 ** min(failures, 10))
    if expires_at is not None and expires_at > NOW:
        ceiling = min(ceiling, (expires_at - NOW) / 4)
    assert SECOND <= wait <= max(SECOND, ceiling)
    assert wait == max(SECOND, ceiling * draw)


def test_back_off_doubles_from_five_seconds_to_ten_minutes() -> None:
    """The mean of full jitter: half of 5, 10, 20 … 600 seconds."""
    waits = [rules.backoff(n, now=NOW, expires_at=None, draw=0.5) / SECOND for n in (0, 1, 2, 6, 7, 50)]
    assert waits == [2.5, 5, 10, 160, 300, 300]


def test_a_token_that_has_just_ended_hurries_nobody() -> None:
    """With nothing left to save, back-off is the ordinary one: a quarter of nothing would be a hammer."""
    assert rules.backoff(6, now=NOW, expires_at=NOW, draw=0.5) == 160 * SECOND


@given(
    grace=seconds(SECOND, 10 * MINUTE),
    timeout=seconds(SECOND, 5 * MINUTE),
    settle=seconds(ZERO, 5 * MINUTE),
)
def test_with_a_grace_the_repeat_comes_well_inside_it(grace: timedelta, timeout: timedelta, settle: timedelta) -> None:
    """A known reuse grace: deadline clamp(g / 3, 5 s, 20 s), never longer than configured, and no settling (R8)."""
    deadline, wait = rules.request_timing(grace, request_timeout=timeout, settle_delay=settle)
    assert (deadline, wait) == (min(timeout, max(5 * SECOND, min(20 * SECOND, grace / 3))), ZERO)


def test_a_third_of_the_grace_but_no_less_than_five_and_no_more_than_twenty_seconds() -> None:
    """A provider has time to answer, and we to ask again, whatever the grace (R8)."""
    deadlines = [
        rules.request_timing(grace * SECOND, request_timeout=90 * SECOND, settle_delay=MINUTE)[0] / SECOND
        for grace in (1, 15, 18, 30, 60, 600)
    ]
    assert deadlines == [5, 5, 6, 10, 20, 20]


def test_without_a_grace_the_request_is_patient() -> None:
    """No grace: the whole deadline, then settling, so our own late request is not taken for theft (R8)."""
    timing = rules.request_timing(ZERO, request_timeout=90 * SECOND, settle_delay=MINUTE)
    assert timing == (90 * SECOND, MINUTE)


@pytest.mark.parametrize(
    ("grace", "share"),
    [(0, 10), (600, 10), (36, 10), (35, 9), (28, 2), (27, 1), (26, 1), (5, 1)],
)
def test_a_commit_takes_no_longer_than_lets_the_lease_end_inside_the_grace(grace: int, share: int) -> None:
    """A replica that takes over after the lease still finds its token forgiven (R8); a commit has a second at least."""
    assert rules.commit_share(grace * SECOND, 10 * SECOND, request_timeout=20 * SECOND) == share * SECOND


@given(grace=seconds(MINUTE / 2, 10 * MINUTE), configured=seconds(SECOND, MINUTE))
def test_with_a_grace_the_lease_ends_before_it(grace: timedelta, configured: timedelta) -> None:
    """From half a minute on: deadline, commit and slack together stay below the grace (R8)."""
    deadline, settle = rules.request_timing(grace, request_timeout=90 * SECOND, settle_delay=MINUTE)
    commit = rules.commit_share(grace, configured, request_timeout=deadline)
    assert deadline + settle + commit + rules.LEASE_SLACK < grace
    assert SECOND <= commit <= configured


@pytest.mark.parametrize(
    ("hosts", "connect", "pause"),
    [(1, 5, 28), (3, 5, 48), (3, 2, 30), (3, 1, 30)],
)
def test_nothing_is_claimed_before_another_daemon_had_time_to_bring_its_answers_back(
    hosts: int, connect: int, pause: int
) -> None:
    """Its old connection's 11 s, every host twice at no less than 2 s, 5 s between the tries, 2 s until it is seen (R6)."""
    found = rules.failover_pause(hosts=hosts, connect_timeout=connect * SECOND, commit_timeout=10 * SECOND)
    assert found == pause * SECOND


@given(policy=policies)
def test_a_lease_contains_request_settling_and_commit(policy: RefreshPolicy) -> None:
    """Whoever finds a lapsed lease may ask at once: our request, its settling and its commit are over."""
    assert policy.lease == policy.request_timeout + policy.settle_delay + policy.commit_timeout + 5 * SECOND


def test_the_default_lease_is_the_one_in_the_architecture() -> None:
    """90 s + 60 s + 10 s + 5 s; with a grace of 30 s it stays below the grace."""
    assert policy().lease == 165 * SECOND
    deadline, settle = rules.request_timing(30 * SECOND, request_timeout=90 * SECOND, settle_delay=MINUTE)
    assert deadline + settle + policy().commit_timeout + rules.LEASE_SLACK < 30 * SECOND


def test_how_long_to_wait_before_a_refusal_is_confirmed() -> None:
    """`invalid_grant` about 45 s; slow codes 1, 5, 15 min; unexplained ones 5 min to 6 h."""
    fast = [rules.confirmation_wait(Confirmation.FAST, 1, draw=draw) for draw in (0, 0.5, 1)]
    slow = [rules.confirmation_wait(Confirmation.SLOW, n, draw=0) for n in (1, 2, 3)]
    slowest = [rules.confirmation_wait(Confirmation.SLOWEST, n, draw=0) for n in (1, 2, 3, 4, 5, 10_000)]
    assert fast == [40.5 * SECOND, 45 * SECOND, 49.5 * SECOND]
    assert slow == [MINUTE, 5 * MINUTE, 15 * MINUTE]
    assert slowest == [5 * MINUTE, 20 * MINUTE, 80 * MINUTE, 320 * MINUTE, 6 * HOUR, 6 * HOUR]


def test_in_a_storm_the_refused_are_asked_again_ever_more_slowly() -> None:
    """5, 10, then every 12 minutes, a tenth sooner or later: a quarter of an hour after its end somebody has found out."""
    waits = [rules.storm_wait(rejections, draw=0.5) for rejections in (1, 2, 3, 4, 5, 10_000)]
    assert waits == [5 * MINUTE, 5 * MINUTE, 10 * MINUTE, 12 * MINUTE, 12 * MINUTE, 12 * MINUTE]
    assert [rules.storm_wait(10, draw=draw) for draw in (0, 1)] == [10.8 * MINUTE, 13.2 * MINUTE]


@pytest.mark.parametrize(
    ("confirmation", "rejections", "since", "left", "condemned"),
    [
        (Confirmation.FAST, 1, 9 * DAY, -DAY, False),
        (Confirmation.FAST, 2, ZERO, DAY, True),
        (Confirmation.SLOW, 3, 9 * DAY, -DAY, False),
        (Confirmation.SLOW, 4, ZERO, DAY, True),
        (Confirmation.SLOWEST, 4, 9 * DAY, -DAY, False),
        (Confirmation.SLOWEST, 5, DAY, ZERO, True),
        (Confirmation.SLOWEST, 5, DAY, None, True),
        (Confirmation.SLOWEST, 5, DAY, SECOND, False),
        (Confirmation.SLOWEST, 5, DAY - SECOND, -DAY, False),
    ],
)
def test_how_much_it_takes_to_call_a_person(
    confirmation: Confirmation, rejections: int, since: timedelta, left: timedelta | None, condemned: object
) -> None:
    """Once more for `invalid_grant`, three more for slow codes, five in a day with a dead token for anything else (R10)."""
    verdict = rules.is_condemned(
        confirmation,
        rejections,
        first_rejected_at=NOW - since,
        expires_at=None if left is None else NOW + left,
        now=NOW,
    )
    assert verdict == condemned


def test_a_condemned_credential_is_tried_after_an_hour_and_after_a_day() -> None:
    """Then never again by itself: a dead login is not presented for ever."""
    turns = [rules.healing_at(NOW, NOW + wait) for wait in (ZERO, HOUR - SECOND, HOUR, DAY - SECOND, DAY, 9 * DAY)]
    assert turns == [NOW + HOUR, NOW + HOUR, NOW + DAY, NOW + DAY, None, None]


@given(condemned_at=past, later=spans)
def test_healing_never_lies_in_the_past(condemned_at: datetime, later: timedelta) -> None:
    """Otherwise a condemned credential would be asked at every tick."""
    turn = rules.healing_at(condemned_at, condemned_at + later)
    assert turn is None or turn > condemned_at + later


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (LifetimeFrom.LOGIN, NOW + 20 * DAY),
        (LifetimeFrom.UNKNOWN, NOW + 20 * DAY),
        (LifetimeFrom.ROTATION, NOW + 29 * DAY),
    ],
)
def test_both_readings_of_the_thirty_days(reading: LifetimeFrom, expected: datetime) -> None:
    """Undocumented means pessimistic: counted from the login, unless the provider is known to slide."""
    by = rules.relogin_by(policy(lifetime_from=reading), login_at=NOW - 10 * DAY, rotated_at=NOW - DAY)
    assert by == expected


def test_a_provider_without_an_end_has_no_deadline_and_no_ladder() -> None:
    """Nobody is asked to log in for a refresh token that does not end."""
    endless = policy(refresh_lifetime=None)
    assert (rules.relogin_by(endless, login_at=NOW, rotated_at=NOW), endless.ladder) == (None, ())


def test_the_ladder_is_longest_first_and_leaves_out_what_exceeds_the_life() -> None:
    """A 14-day token warned of 30 days ahead would be warned of at birth."""
    assert policy().ladder == (7 * DAY, 3 * DAY, DAY)
    assert policy(refresh_lifetime=3 * DAY).ladder == (DAY,)


@given(policy=policies, deadline=near, earlier=spans)
def test_steps_reached_only_grow_with_time(policy: RefreshPolicy, deadline: datetime, earlier: timedelta) -> None:
    """Each rung is reached once, at its distance from the deadline; at the deadline all are."""
    counts = [rules.steps_reached(policy.ladder, deadline=deadline, now=at) for at in (NOW - earlier, NOW, deadline)]
    assert counts[0] <= counts[1]
    assert counts[1] == sum(1 for rung in policy.warn_before if rung in policy.ladder and deadline - rung <= NOW)
    assert counts[2] == len(policy.ladder)


def test_a_rung_is_reached_on_the_instant() -> None:
    """Seven days before means not a second earlier; without a deadline there is no rung."""
    counts = [
        rules.steps_reached(policy().ladder, deadline=deadline, now=NOW)
        for deadline in (None, NOW + 7 * DAY + SECOND, NOW + 7 * DAY, NOW + DAY, NOW - DAY)
    ]
    assert counts == [0, 0, 1, 3, 3]
