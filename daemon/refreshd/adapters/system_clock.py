"""The machine's clocks, and its chance."""

import random
import time
from datetime import UTC, datetime

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS: its monotonic clock counts sleep
_chance = random.SystemRandom()


class SystemClock:
    """`Clock` as the kernel tells it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def boottime(self) -> float:
        return time.clock_gettime(_BOOTTIME)


def draw() -> float:
    """A number in [0, 1) for one stored decision."""
    return _chance.random()
