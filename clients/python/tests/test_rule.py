"""Waiting as steps, without time: what is asked when, and how often is looked."""

from collections.abc import Generator
from typing import TypeVar

import pytest

from refreshd_client.looking import Entry
from refreshd_client.rule import ASK_AFTER, Step, newer, obtain
from refreshd_client.token import Token
from refreshd_client.unavailable import Reason, TokenUnavailable

T = TypeVar("T")


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def entry(generation: int, *, life: float = 60.0) -> Entry:
    token = Token(access_token="t", token_type="", scope="", generation=generation, issued_at=None, expires_at=None)
    return Entry(read_at=100.0, dies_at=100.0 + life, token=token)


def play(steps: Generator[Step, Entry, T], time: Time, found: Entry) -> tuple[T, list[tuple[float, Step]]]:
    """Answer every look with the same; returns the result and what was done when."""
    done: list[tuple[float, Step]] = []
    step = next(steps)
    while True:
        done.append((time.now, step))
        time.now += step.pause
        try:
            step = steps.send(found)
        except StopIteration as end:
            return end.value, done


def test_ten_seconds_of_waiting_are_two_dozen_looks_and_one_request() -> None:
    """The request after half a second, the pauses doubling up to half a second, the end on time."""
    time = Time()
    result, done = play(newer(1, wait=10, clock=time), time, entry(1))
    assert None is result
    assert 110 == pytest.approx(time.now)
    assert 20 <= len(done) <= 26
    assert [1] == [step.ask for _, step in done if step.ask is not None]
    [asked_at] = [at - 100 for at, step in done if step.ask is not None]
    assert ASK_AFTER <= asked_at <= 1
    assert 0.5 == max(step.pause for _, step in done)


def test_the_first_look_after_a_401_is_a_fresh_one() -> None:
    """Later ones may be shared with others who wait."""
    steps = newer(1, wait=10, clock=Time())
    assert Step() == next(steps)
    later = steps.send(entry(1))
    assert 0 < later.max_age < later.pause


def test_even_a_short_wait_asks() -> None:
    """Or who waits for less than half a second would never be served."""
    time = Time()
    _, done = play(newer(1, wait=0.4, clock=time), time, entry(1))
    assert [1] == [step.ask for _, step in done if step.ask is not None]


def test_a_get_that_does_not_wait_looks_again_before_it_gives_up() -> None:
    """What was remembered may be too short, its successor not."""
    steps = obtain("a", max_age=1, min_valid=30, wait=0, clock=Time())
    assert Step(max_age=1) == next(steps)
    assert Step() == steps.send(entry(1, life=10))
    with pytest.raises(TokenUnavailable) as caught:
        steps.send(entry(1, life=10))
    assert Reason.EXPIRES_SOON is caught.value.reason


def test_what_is_remembered_gathers_no_tracebacks() -> None:
    """An exception that is raised again and again would keep all its frames, and the tokens in them."""
    missing = TokenUnavailable("a", Reason.PAUSED, "code")
    steps = obtain("a", max_age=1, min_valid=0, wait=5, clock=Time())
    next(steps)
    with pytest.raises(TokenUnavailable) as caught:
        steps.send(Entry(read_at=100.0, missing=missing))
    assert (missing.args, None) == (caught.value.args, missing.__traceback__)
