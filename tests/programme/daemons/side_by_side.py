"""Installations that live side by side, each in a thread of its own, sharing one run's cases."""

import itertools
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice

from tests.programme.programme import Limits

Work = Callable[[int, int, Iterable[int]], None]
"""What one installation does: its number, how many it had before, and its cases, drawn as it goes."""


class Cases:
    """Case `i` belongs to installation `i % sites`. Thread-safe."""

    def __init__(self, limits: Limits, sites: int) -> None:
        self.sites = sites
        self.done = 0
        self._limits = limits
        self._lock = threading.Lock()

    def of(self, number: int) -> Iterator[int]:
        """That installation's case numbers, for as long as the run goes on."""
        first = self._limits.first
        for index in range(first, first + self._limits.n):
            if index % self.sites == number:
                if not self._may_begin():
                    return
                yield index

    def _may_begin(self) -> bool:
        with self._lock:
            going = self._limits.going(self.done)
            self.done += going
            return going


def side_by_side(cases: Cases, work: Work, *, most: int) -> list[str]:
    """Run every installation to its end, a fresh one after `most` cases. Returns how threads failed, "" for none."""
    failures: list[str] = []

    def live(number: int) -> None:
        mine = cases.of(number)
        try:
            for turn in count():
                first = list(islice(mine, 1))
                if not first:
                    return
                work(number, turn, itertools.chain(first, islice(mine, most - 1)))
        except Exception as exc:  # noqa: BLE001 - a thread's failure is the run's
            failures.append(f"installation {number} ended by {type(exc).__name__}: {exc}\n{_frames(exc)}")

    threads = [threading.Thread(target=live, args=(number,), name=f"site-{number}") for number in range(cases.sites)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def _frames(exc: Exception) -> str:
    return "".join(traceback.format_tb(exc.__traceback__)[-3:])
