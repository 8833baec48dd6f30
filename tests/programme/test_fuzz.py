"""The short form of `make fuzz`: some thousand generated answers keep every promise."""

import pytest

from tests.programme.fuzz import run
from tests.programme.fuzzing.answers import case
from tests.programme.programme import Limits

CASES = 8_000
SEED = 1


@pytest.mark.xdist_group("busy")
@pytest.mark.timeout(90)
def test_generated_answers_keep_every_promise() -> None:
    """No answer raises, hangs, loses a refresh token, condemns anybody too early, or puts a secret into a log."""
    report = run(Limits(CASES, SEED, 25))
    print(report.line())
    assert [] == report.failures()


def test_a_case_is_its_seed_and_its_index() -> None:
    """A failing case is repeated from two numbers; others of the same seed are other cases."""
    assert case(3, 77) == case(3, 77)
    assert len({case(3, index).body for index in range(100)}) > 60
    assert case(3, 77) != case(4, 77)
