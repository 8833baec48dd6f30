"""The short form of the disk programme. The long one: `make disk`."""

import random

import pytest

from tests.programme.disk import run
from tests.programme.programme import Limits


@pytest.mark.timeout(120)
def test_no_broken_disk_loses_an_answer() -> None:
    """Full, refusing, hanging, locked: answers on their way are kept until it is mended, a SIGTERM drops none."""
    report = run(Limits(n=16, seed=random.randrange(10**6), seconds=14))
    print(report.line())
    assert [] == report.failures()
