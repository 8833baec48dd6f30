"""A goal is met or told of in words, never passed over."""

import math

from bench.goals import Aim, Figure, table, verdict


def test_a_figure_at_its_goal_is_met() -> None:
    """Goals are inclusive on both sides."""
    assert Figure(name="cost", value=0.6, goal=0.6).met
    assert Figure(name="rate", value=0.7, goal=0.7, aim=Aim.AT_LEAST).met


def test_a_figure_beyond_its_goal_is_told_of_with_the_factor() -> None:
    """What is slower than wanted stands in a sentence, with how much."""
    slow = Figure(name="cost", value=1.2, goal=0.6, unit="CPU-s")
    low = Figure(name="rate", value=100, goal=400, unit="/s", aim=Aim.AT_LEAST)
    words = verdict([slow, low, Figure(name="fine", value=1, goal=2)])
    assert "cost: 1.20 CPU-s, wanted at most 0.60 CPU-s (off by a factor of 2.0)" in words
    assert "rate: 100 /s, wanted at least 400 /s (off by a factor of 4.0)" in words
    assert "fine" not in words


def test_what_could_not_be_measured_is_not_met() -> None:
    """An empty histogram must not look like success."""
    figure = Figure(name="lag", value=math.nan, goal=20)
    assert not figure.met
    assert "not measured" in figure.words()


def test_a_figure_without_a_goal_is_only_shown() -> None:
    """It has no verdict."""
    assert ("size", "2,048 MiB", "", "", "") == Figure(name="size", value=2048, unit="MiB").row()


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """The page reads on a terminal too."""
    assert "| a   | b |\n| --- | - |\n| xyz | 1 |" == table(("a", "b"), [("xyz", "1")])
