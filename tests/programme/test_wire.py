"""The short form of the wire programme. The long one: `make wire`."""

import random

import pytest

from tests.programme.programme import Limits
from tests.programme.wire import run


@pytest.mark.timeout(120)
def test_no_trouble_of_a_line_loses_what_it_need_not() -> None:
    """Each kind of trouble on the line to the provider and to Redis; both heal, and so does everything behind them."""
    report = run(Limits(n=40, seed=random.randrange(10**6), seconds=22))
    print(report.line())
    assert [] == report.failures()
