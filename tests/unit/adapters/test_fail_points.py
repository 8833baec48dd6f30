"""Fail points: inert unless switched on, and then exactly where and when they were asked for."""

import os
import signal
import subprocess
import sys

import pytest

from refreshd.adapters.fail_points import VARIABLE, FailPointsFault, fail_points
from refreshd.domain.steps import Step, unobserved

_CHILD = (
    "import os; from refreshd.adapters.fail_points import fail_points as f; f(os.environ)('claim.done'); print('alive')"
)


@pytest.mark.parametrize("environ", [{}, {VARIABLE: ""}, {"FAIL_POINTS": "claim.done=kill"}])
def test_without_its_variable_nothing_listens(environ: dict[str, str]) -> None:
    """What users run has no fail points."""
    assert unobserved is fail_points(environ)


def test_it_fails_at_the_turn_that_was_asked_for() -> None:
    """As a full disk or a cut connection would, once."""
    reached = fail_points({VARIABLE: "commit.written=fail@2, claim.done=stall:0"})
    for _ in range(2):
        reached(Step.CLAIMED)
    reached(Step.COMMIT_WRITTEN)
    with pytest.raises(OSError, match="fail point"):
        reached(Step.COMMIT_WRITTEN)
    reached(Step.COMMIT_WRITTEN)


def test_without_a_turn_it_fails_each_time() -> None:
    """A disk stays full."""
    reached = fail_points({VARIABLE: "publish.begun=fail"})
    for _ in range(3):
        with pytest.raises(OSError, match=r"publish\.begun"):
            reached(Step.PUBLISH_BEGUN)


def test_it_kills_the_process_there() -> None:
    """No handler, no cleaning up."""
    environ = {**os.environ, VARIABLE: "claim.done=kill"}
    done = subprocess.run([sys.executable, "-c", _CHILD], env=environ, capture_output=True, timeout=30, check=False)
    assert (-signal.SIGKILL, b"") == (done.returncode, done.stdout)


@pytest.mark.parametrize(
    "text", ["claim.done", "claim.dome=kill", "claim.done=explode", "claim.done=stall", "a=kill@x"]
)
def test_a_point_that_cannot_be_read_is_refused(text: str) -> None:
    """A test that switches nothing on would prove nothing."""
    with pytest.raises(FailPointsFault, match="claim"):
        fail_points({VARIABLE: text})
