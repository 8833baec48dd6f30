"""The short form of the crash programme. The long one: `make crash`."""

import random

import pytest

from tests.programme.crash import run
from tests.programme.programme import Limits


@pytest.mark.xdist_group("busy")
@pytest.mark.timeout(180)
def test_no_kill_loses_a_login_outside_the_one_window() -> None:
    """Kills at random instants, at every step and from the provider's side; with a grace nothing at all is lost."""
    report = run(Limits(n=120, seed=random.randrange(10**6), seconds=50))
    print(report.line())
    assert [] == report.failures()
