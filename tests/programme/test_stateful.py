"""The short form of `make stateful`: a few random sequences of operations keep every promise."""

import pytest

from tests.programme.programme import Limits
from tests.programme.stateful import run

SEED = 1
EXAMPLES = 6


@pytest.mark.timeout(300)
def test_random_sequences_of_operations_keep_every_promise() -> None:
    """Whatever people, clocks, providers and kills do in whatever order, no login is lost without need."""
    report = run(Limits(EXAMPLES, SEED, 30))
    print(report.line())
    assert [] == report.failures()
