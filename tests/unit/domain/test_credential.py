"""The order of work after an outage (protocol §4), and what a clock that jumped back does to a schedule."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from refreshd.domain.credential import Credential, Lane, is_ending, lane_of, moved
from tests.unit.domain.strategies import DAY, HOUR, MINUTE, NOW, SECOND, credential, credentials

ENDING = credential(relogin_by=NOW + DAY)


@pytest.mark.parametrize(
    ("one", "lane"),
    [
        (credential(), Lane.ORDINARY),
        (credential(failures=1), Lane.RETRYING),
        (ENDING, Lane.ENDING),
        (replace(ENDING, failures=1), Lane.ENDING),
        (replace(ENDING, in_doubt=True, failures=1), Lane.IN_DOUBT),
        (replace(ENDING, in_doubt=True, failures=1, rejections=1), Lane.CONFIRMING),
        (replace(ENDING, failures=2), Lane.ENDING),
        (replace(ENDING, failures=3), Lane.RETRYING),
        (credential(in_doubt=True, failures=2), Lane.IN_DOUBT),
        (credential(in_doubt=True, failures=3), Lane.RETRYING),
        (credential(expires_at=None), Lane.UNDATED),
        (credential(expires_at=None, failures=1), Lane.RETRYING),
        (replace(ENDING, expires_at=None), Lane.ENDING),
        (replace(ENDING, next_attempt_at=None), Lane.ORDINARY),
        (replace(ENDING, relogin_by=None), Lane.ORDINARY),
    ],
)
def test_what_would_cost_a_person_goes_before_what_would_cost_a_token(one: Credential, lane: Lane) -> None:
    """A lost doubt or a missed end is a login; a refusal, or what hangs for ever, is asked again when there is time."""
    assert lane_of(one) is lane


def test_the_lanes_are_worked_in_this_order() -> None:
    """The numbers are what the store sorts by."""
    order = [Lane.IN_DOUBT, Lane.ENDING, Lane.ORDINARY, Lane.UNDATED, Lane.RETRYING, Lane.CONFIRMING]
    assert sorted(Lane) == order


@pytest.mark.parametrize(("left", "ending"), [(DAY, True), (DAY + SECOND, False), (timedelta(0), True), (-DAY, True)])
def test_a_login_ends_soon_when_its_next_use_is_its_last_day(left: timedelta, ending: object) -> None:
    """Counted from the next use, not from today: there may be no later one."""
    assert is_ending(NOW + 9 * DAY + left, NOW + 9 * DAY) == ending


def scheduled(by: timedelta) -> Credential:
    """Every instant of the schedule is set, and later by that much."""
    return replace(
        credential(),
        issued_at=NOW - HOUR + by,
        expires_at=NOW + 5 * MINUTE + by,
        refresh_at=NOW + by,
        next_attempt_at=NOW + SECOND + by,
        first_rejected_at=NOW - 4 * MINUTE + by,
        condemned_at=NOW - 3 * MINUTE + by,
        attempted_at=NOW - 2 * MINUTE + by,
    )


@pytest.mark.parametrize("by", [-HOUR, 3 * DAY])
def test_a_clock_that_jumped_moves_the_schedule_and_no_date_that_people_know(by: timedelta) -> None:
    """A token is refreshed as long before its end as ever; its owner logged in when he did (docs/decisions/0006)."""
    assert moved(scheduled(timedelta(0)), by) == scheduled(by)


@given(before=credentials())
def test_a_clock_that_goes_right_moves_nothing(before: Credential) -> None:
    """Nor does a jump make up an instant that was not known."""
    assert before == moved(before, timedelta(0))
    unknown = {name for name in before.__dataclass_fields__ if getattr(before, name) is None}
    assert unknown == {name for name in before.__dataclass_fields__ if getattr(moved(before, -HOUR), name) is None}
