"""The short form of the shutdown programme. The long one: `make shutdown`."""

import random

import pytest

from tests.programme.programme import Limits
from tests.programme.shutdown import run


@pytest.mark.timeout(150)
def test_no_stop_loses_an_answer() -> None:
    """SIGTERM at random instants while answers take up to five seconds: all are stored and published, and it ends with 0."""
    report = run(Limits(n=40, seed=random.randrange(10**6), seconds=28), longest=5.0)
    print(report.line())
    assert [] == report.failures()
