"""Which fault meets which request: scripted, as a storm, or by a seed."""

import random
from collections import Counter

import pytest

from refreshd.demo.faults import Fault, Faults, Latency, LoseAnswer, LoseRequest, Storm, TruncateAnswer
from refreshd.demo.notation import Unreadable, read_fault
from refreshd.demo.storms import client_refused, gateway, redirect, throttled

ONE, TWO = LoseRequest(), LoseAnswer()


def taken(faults: Faults, count: int, *, at: float = 0.0) -> list[Fault | None]:
    return [faults.take(at=at) for _ in range(count)]


def test_a_script_is_played_once_in_order() -> None:
    """None lets a request through; after the script the network is perfect."""
    faults = Faults()
    faults.script(ONE, None, TWO)
    assert [ONE, None, TWO, None, None] == taken(faults, 5)
    assert Counter({"LoseRequest": 1, "LoseAnswer": 1}) == faults.taken


def test_a_storm_of_a_count_passes_and_the_script_goes_on() -> None:
    """The script waits until the storm is over."""
    faults = Faults()
    faults.script(TWO)
    faults.storm(Storm(fault=ONE, count=2))
    assert [ONE, ONE, TWO, None] == taken(faults, 4)


def test_a_storm_of_a_time_ends_by_the_clock() -> None:
    """`until` is exclusive, however many requests came."""
    faults = Faults()
    faults.storm(Storm(fault=ONE, until=10.0))
    assert [ONE, ONE, None] == [*taken(faults, 2, at=9.9), *taken(faults, 1, at=10.0)]


def test_a_storm_over_one_client_spares_the_others() -> None:
    """One client's trouble is nobody else's."""
    faults = Faults()
    faults.storm(Storm(fault=ONE, count=1, client_id="a"))
    assert [None, ONE, None] == [faults.take(at=0, client_id=name) for name in ("b", "a", "a")]


def test_a_mix_keeps_its_shares_and_its_seed_repeats_it() -> None:
    """A simulation that failed can be run again."""
    runs = []
    for _ in range(2):
        faults = Faults(chance=random.Random(7))
        faults.mix([(0.2, ONE), (0.3, TWO)])
        runs.append(taken(faults, 4000))
    counts = Counter(runs[0])
    assert runs[0] == runs[1]
    assert (0.2, 0.3, 0.5) == pytest.approx(tuple(counts[one] / 4000 for one in (ONE, TWO, None)), abs=0.03)


@pytest.mark.parametrize("rates", [[(0.6, ONE), (0.5, TWO)], [(-0.1, ONE)]])
def test_shares_that_cannot_be_are_refused(rates: list[tuple[float, Fault]]) -> None:
    """A mistake in a test's set-up stops it."""
    with pytest.raises(ValueError, match="shares"):
        Faults().mix(rates)


def test_latency_is_drawn_once_and_wraps_what_follows() -> None:
    """Whoever plays the fault needs no chance of its own."""
    faults = Faults()
    faults.latency = Latency(low=1.0, high=2.0)
    faults.script(ONE)
    [first, second] = taken(faults, 2)
    assert isinstance(first, Latency)
    assert isinstance(second, Latency)
    assert 1.0 <= first.low == first.high <= 2.0
    assert first.low != second.low
    assert (ONE, None) == (first.then, second.then)


def test_clear_ends_everything() -> None:
    """Back to a perfect network."""
    faults = Faults()
    faults.latency = Latency(low=1.0, high=1.0)
    faults.script(ONE)
    faults.storm(Storm(fault=ONE))
    faults.mix([(1.0, ONE)])
    faults.clear()
    assert [None] == taken(faults, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"kind": "lose_request", "ending": "hang", "after": 2}, LoseRequest(ending="hang", after=2.0)),  # type: ignore[arg-type]  # equal to Ending.HANG
        ({"kind": "truncate_answer", "at": 7}, TruncateAnswer(at=7)),
        ({"kind": "throttled", "retry_after": 9}, throttled(9)),
        ({"kind": "gateway", "status": 502, "commits": True}, gateway(502, commits=True)),
        ({"kind": "client_refused"}, client_refused()),
        ({"kind": "redirect"}, redirect()),
        (
            {"kind": "latency", "low": 1, "high": 2, "then": {"kind": "lose_answer"}},
            Latency(low=1.0, high=2.0, then=TWO),
        ),
    ],
)
def test_a_fault_can_be_written_as_json(values: dict[str, object], expected: Fault) -> None:
    """For tests in other languages."""
    assert expected == read_fault(values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "nonsense"},
        {"kind": "lose_request", "afterwards": 1},
        {"kind": "truncate_answer", "at": "x"},
        {"kind": "throttled", "after": 1},
        {"kind": "latency", "low": 1},
    ],
)
def test_a_fault_that_cannot_be_read_is_refused(values: dict[str, object]) -> None:
    """A typing error must not pass for a perfect network."""
    with pytest.raises(Unreadable):
        read_fault(values)
