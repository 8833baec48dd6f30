"""Which stop a case is: decided by its number and the run's seed alone."""

import random
import signal
from dataclasses import dataclass
from enum import StrEnum

SITES = 8
LONGEST_ANSWER = 10.0


class When(StrEnum):
    STARTING = "while it starts"
    READY = "as soon as it is ready"
    IN_FLIGHT = "with requests in flight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One stop. `latency`: seconds that answers take at most; `again`: gaps before further signals, and which.

    `delay`: before the first one, counted from its start, or from its own first line (`spoke`), or from when it was ready.
    """

    index: int
    when: When
    installed: bool
    logins: int
    latency: float
    spoke: bool
    delay: float
    again: tuple[tuple[float, signal.Signals], ...]

    @property
    def site(self) -> int:
        return self.index % SITES


def case_of(seed: int, index: int, *, longest: float = LONGEST_ANSWER) -> Case:
    """`longest`: seconds that an answer may take."""
    chance = random.Random(f"{seed}/{index}")
    when = chance.choices(list(When), weights=(25, 10, 65))[0]
    installed = index // SITES % 6 == 3
    latency = chance.choice((0.0, chance.uniform(0.0, 1.0), chance.uniform(0.0, longest), longest))
    spoke = chance.random() < 0.7
    start = 0.05 if spoke else 1.2 if installed else 0.15
    in_flight = chance.uniform(0.0, min(latency, 3.0) + 0.2)
    signals = [signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    again = [(chance.uniform(0.0, 1.0), chance.choice(signals)) for _ in range(chance.choice((0, 0, 1, 1, 2)))]
    return Case(
        index=index,
        when=when,
        installed=installed,
        logins=chance.randint(4, 24),
        latency=latency,
        spoke=spoke,
        delay=chance.uniform(0.0, start) if when is When.STARTING else in_flight if when is When.IN_FLIGHT else 0.0,
        again=tuple(again),
    )
