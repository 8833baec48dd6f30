"""Makes this process die, stall or fail at named steps. For tests only: nothing happens without the variable below.

`TEST_REFRESHD_FAIL_POINTS` holds `STEP=ACTION[@N]`, separated by commas: at the N-th time (else each time) that the step is
reached, `kill` sends SIGKILL to ourselves, `stall:SECONDS` blocks the thread, `fail` raises an `OSError`, as a full disk or a
broken connection would, `freeze` stops the process until it is continued.
"""

import os
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass

from refreshd.domain.refusal import Refusal
from refreshd.domain.steps import Reached, Step, unobserved

VARIABLE = "TEST_REFRESHD_FAIL_POINTS"
_POINT = re.compile(
    r"(?P<step>[a-z.]+)=(?P<action>kill|fail|freeze|stall:(?P<seconds>[0-9]+(?:\.[0-9]+)?))(?:@(?P<turn>[0-9]+))?"
)


class FailPointsFault(Refusal):
    """The variable cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    action: str
    seconds: float
    turn: int | None


class FailPoints:
    """Call it with each step that is reached."""

    def __init__(self, points: Mapping[Step, _Point]) -> None:
        self._points = points
        self._times = dict.fromkeys(points, 0)

    def __call__(self, step: Step) -> None:
        point = self._points.get(step)
        if point is None:
            return
        self._times[step] += 1
        if point.turn not in (None, self._times[step]):
            return
        match point.action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "freeze":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "fail":
                raise OSError(f"fail point {step}")
            case _:
                time.sleep(point.seconds)


def fail_points(environ: Mapping[str, str]) -> Reached:
    """What the daemon tells its steps. Raises `FailPointsFault`."""
    text = environ.get(VARIABLE, "")
    return FailPoints(dict(map(_read, text.split(",")))) if text else unobserved


def _read(text: str) -> tuple[Step, _Point]:
    found = _POINT.fullmatch(text.strip())
    if found is None or found["step"] not in set(Step):
        raise FailPointsFault(
            f"{VARIABLE}: {text!r} is not STEP=kill|fail|freeze|stall:SECONDS[@N] with a step of {', '.join(Step)}"
        )
    return Step(found["step"]), _Point(
        action=found["action"].partition(":")[0],
        seconds=float(found["seconds"] or 0),
        turn=int(found["turn"]) if found["turn"] else None,
    )
