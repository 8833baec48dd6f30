"""What the bench of replicas writes down."""

from bench.replicas import Run, report


def run(replicas: int, rate: float) -> Run:
    return Run(replicas=replicas, rate=rate, daemons=1.5, provider=0.3, busy=1.98)


def test_the_ratio_is_that_of_the_medians_and_the_profile_stands_beside_it() -> None:
    """One lucky round proves nothing, and a missed goal is told with what the machine was doing."""
    text = report([run(1, 500), run(2, 700), run(1, 100), run(2, 800), run(1, 510)], "make bench-replicas", load="0.1")
    assert "1.50" in text
    assert "**missed**" in text
    assert 5 == text.count("| 1.98 ")
    assert "load average 0.1" in text
