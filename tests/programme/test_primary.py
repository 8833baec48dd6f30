"""The short form of the primary programme. The long one: `make primary`."""

import random

import pytest

from tests.programme.primary import run
from tests.programme.programme import Limits


@pytest.mark.xdist_group("busy")
@pytest.mark.timeout(180)
def test_a_killed_database_loses_no_login() -> None:
    """Two replicas are storing answers each time; all of them are in the database in the end, and none was asked for twice."""
    report = run(Limits(n=3, seed=random.randrange(10**6), seconds=60))
    print(report.line())
    assert [] == report.failures()
