"""What every long reliability programme takes and gives: limits, and a report that nothing can pass by not happening.

Programmes stand beside this file, one a module, each with `run(limits: Limits) -> Report`. What they look for stands there.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NAMES = ("crash", "simulate", "fuzz", "stateful", "shutdown", "wire", "disk", "replicas", "primary")


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a run goes: `n` cases, or as many as `seconds` allow, or until `stop` is set (Ctrl-C).

    Case `i` of a seed is always the same. `first`: the case to begin with, so that one failing case runs alone.
    `replicas`: of a programme that starts several; 0: as many as it has by default. `credentials` and `days`: of one that makes
    worlds; 0: of all sizes.
    """

    n: int
    seed: int
    seconds: float
    first: int = 0
    replicas: int = 0
    credentials: int = 0
    days: float = 0.0
    began: float = field(default_factory=time.monotonic, repr=False)
    stop: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def going(self, done: int) -> bool:
        """Whether another case may begin after `done` of them."""
        return done < self.n and not self.stop.is_set() and self.elapsed < self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run came to.

    `n`: cases reached. `counts`: how often each dangerous case really happened. `minima`: how often it must have, or the run
    has shown nothing. `violations`: one text for each broken promise, with what is needed to repeat it.
    """

    name: str
    n: int
    seed: int
    seconds: float
    counts: Mapping[str, int]
    violations: Sequence[str]
    minima: Mapping[str, int]

    def missed(self) -> list[str]:
        """The dangerous cases that happened too rarely: 0 lost of nothing is nothing."""
        return [name for name, least in self.minima.items() if self.counts.get(name, 0) < least]

    def failures(self) -> list[str]:
        """Why this run does not count as a success; empty when it does."""
        rare = [f"too rare: {name} {self.counts.get(name, 0)}, not {self.minima[name]}" for name in self.missed()]
        idle = [] if self.n > 0 else ["nothing was run"]
        return [*self.violations, *rare, *idle]

    def line(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        return f"{self.name}: N={self.n:,} SEED={self.seed} in {self.seconds:.0f} s: {len(self.violations)} violations; {counts}"


def per_thousand(n: int, rates: Mapping[str, float]) -> dict[str, int]:
    """Minima that grow with the run: `rates` are cases in 1,000. A run too short to expect one demands none."""
    return {name: int(n * rate / 1000) for name, rate in rates.items()}
