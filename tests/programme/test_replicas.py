"""The short form of the replicas programme. The long one: `make replicas`."""

import random

import pytest

from tests.programme.programme import Limits
from tests.programme.replicas import run


@pytest.mark.xdist_group("busy")
@pytest.mark.timeout(240)
def test_no_replica_presents_a_token_twice_outside_doubt() -> None:
    """Three replicas, killed and frozen throughout, their clocks five minutes apart."""
    report = run(Limits(n=10**6, seed=random.randrange(10**6), seconds=60))
    print(report.line())
    assert [] == report.failures()
