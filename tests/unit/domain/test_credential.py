"""The order of work after an outage (protocol §4)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from refreshd.domain.credential import Credential, Lane, is_ending, lane_of
from tests.unit.domain.strategies import DAY, NOW, SECOND, credential

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
