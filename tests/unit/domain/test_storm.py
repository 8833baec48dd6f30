"""When so many refusals mean that the provider is at fault (protocol R10)."""

from datetime import UTC, datetime, timedelta

import pytest

from refreshd.domain.storm import LONGEST, Refusals, Weather, judge

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("credentials", "fewest"),
    [
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 5),
        (6, 5),
        (100, 5),
        (250, 5),
        (251, 6),
        (300, 6),
        (10_000, 200),
        (1_000_000, 20_000),
    ],
)
def test_the_fewest_refusals_that_make_a_storm(credentials: int, fewest: int) -> None:
    """All of two to four, else 2 % and at least five."""
    assert Weather.BEGINS is judge(Refusals(credentials=credentials, refused=fewest), now=NOW)
    assert Weather.CALM is judge(Refusals(credentials=credentials, refused=fewest - 1), now=NOW)


@pytest.mark.parametrize("credentials", [0, 1])
def test_one_credential_alone_tells_nothing(credentials: int) -> None:
    """Its refusal is its own."""
    assert Weather.CALM is judge(Refusals(credentials=credentials, refused=credentials), now=NOW)


@pytest.mark.parametrize(
    ("age", "weather"),
    [
        (timedelta(0), Weather.RAGES),
        (LONGEST - SECOND, Weather.RAGES),
        (LONGEST, Weather.OVER),
        (-LONGEST, Weather.OVER),  # the clock stepped back: no storm lasts for ever
        (-SECOND, Weather.RAGES),
    ],
)
def test_a_storm_lasts_a_day_at_most(age: timedelta, weather: Weather) -> None:
    """However few are refused meanwhile."""
    assert weather is judge(Refusals(credentials=100, refused=0, began_at=NOW - age), now=NOW)


@pytest.mark.parametrize(
    ("counts_from", "weather"),
    [
        (NOW + SECOND, Weather.CALM),
        (NOW + LONGEST, Weather.CALM),
        (NOW, Weather.BEGINS),
        (NOW - SECOND, Weather.BEGINS),
        (NOW + LONGEST + SECOND, Weather.BEGINS),  # written by a clock that was ahead
    ],
)
def test_a_storm_that_was_ended_does_not_begin_anew_from_the_same_refusals(
    counts_from: datetime, weather: Weather
) -> None:
    """An operator who has looked, or a day, is believed for a day."""
    assert weather is judge(Refusals(credentials=3, refused=3, counts_from=counts_from), now=NOW)
