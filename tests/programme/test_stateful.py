"""The short form of `make stateful`: a few random sequences of everything that can happen to a daemon keep every promise."""

import pytest

from tests.programme.programme import Limits
from tests.programme.stateful import run

SEED = 2
SEQUENCES = 6
STEPS = 40


@pytest.mark.xdist_group("busy")
@pytest.mark.timeout(200)
def test_sequences_of_anything_keep_every_promise() -> None:
    """Kills, frozen and sleeping machines, stepped clocks, commands, lost Redis, moody providers, in any order."""
    report = run(Limits(SEQUENCES, SEED, 40), steps=STEPS)
    print(report.line())
    assert [] == report.failures()
