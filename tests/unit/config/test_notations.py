"""Durations, rates and shares mean what people think they mean, and are written back as the same value."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.config.durations import format_duration, parse_duration
from refreshd.config.rates import format_rate, format_share, parse_rate, parse_share

MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("1.5s", timedelta(seconds=1.5)),
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("30d", timedelta(days=30)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    """The notation of the documentation."""
    assert length == parse_duration(text)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "5M", "1h30m", "1e3s", "inf", "٣s", "nan s", ".5s"])
def test_what_is_no_duration_is_answered_with_the_notation(text: str) -> None:
    """Nothing is guessed: not even the unit of a bare number."""
    with pytest.raises(ValueError, match="a number with a unit"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["999999999999d", "36501d"])
def test_no_duration_overflows(text: str) -> None:
    """A slip of the finger is a fault, not an OverflowError."""
    with pytest.raises(ValueError, match="century"):
        parse_duration(text)


@given(st.integers(0, 10**12))
def test_a_written_duration_reads_back_the_same(milliseconds: int) -> None:
    """`config print` shows the value in force."""
    length = milliseconds * MILLISECOND
    assert length == parse_duration(format_duration(length))


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=5), "5m"),
        (timedelta(hours=24), "1d"),
        (timedelta(milliseconds=1500), "1500ms"),
    ],
)
def test_a_duration_is_written_in_the_largest_unit_that_fits(length: timedelta, text: str) -> None:
    """People recognise what they wrote."""
    assert text == format_duration(length)


@pytest.mark.parametrize(
    ("text", "rate"), [("10/s", 10), ("600/m", 10), ("36000/h", 10), ("0.5/s", 0.5), ("30/m", 0.5)]
)
def test_a_rate_counts_per_second(text: str, rate: float) -> None:
    """Whatever unit it is written in."""
    assert rate == parse_rate(text)
    assert rate == parse_rate(format_rate(rate))


@pytest.mark.parametrize("text", ["10", "10/d", "0/s", "-1/s", "/s", "inf/s", "nan/s", "10/s/s"])
def test_a_rate_is_above_zero_per_some_unit(text: str) -> None:
    """A rate of nothing would stop every refresh."""
    with pytest.raises(ValueError, match="a rate above 0"):
        parse_rate(text)


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0%", 0), ("50%", 0.5), ("12.5%", 0.125)])
def test_a_share_is_a_percentage(text: str, share: float) -> None:
    """Of one, and written back the same."""
    assert share == parse_share(text)
    assert text == format_share(share)


@pytest.mark.parametrize("text", ["5", "0.05", "-5%", "five%", "%"])
def test_a_share_without_its_sign_is_refused(text: str) -> None:
    """0.05 could be a twentieth or a twentieth of a percent."""
    with pytest.raises(ValueError, match="a percentage"):
        parse_share(text)
