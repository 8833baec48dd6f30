"""Seconds that go on while the machine sleeps: a cached token ages then too."""

import time

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS: its monotonic clock counts sleep


def seconds() -> float:
    return time.clock_gettime(_BOOTTIME)
