"""Which trouble of the disk a case is: decided by its number and the run's seed alone."""

import random
from dataclasses import dataclass
from enum import StrEnum

SITES = 4


class Trouble(StrEnum):
    """`needs_root`: mounts and file attributes."""

    FULL = "full"
    FULL_WITH_LOG = "full, the log's too"
    REFUSING = "refuses writes"
    HANGING = "hangs"
    LOCKED = "locked by another process"

    @property
    def needs_root(self) -> bool:
        return self is not Trouble.LOCKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One trouble. `latency`: seconds until answers arrive; `seconds`: how long it goes on after the first of them.

    `stopped`: SIGTERM comes in the middle of it.
    """

    index: int
    trouble: Trouble
    logins: int
    latency: float
    seconds: float
    stopped: bool


def case_of(seed: int, index: int, *, root: bool) -> Case:
    """Troubles take turns, and so do stops: two of five cases, and in time each trouble; without root there is only one trouble."""
    chance = random.Random(f"{seed}/{index}")
    able = [trouble for trouble in Trouble if root or not trouble.needs_root]
    return Case(
        index=index,
        trouble=able[index % len(able)],
        logins=chance.randint(4, 20),
        latency=chance.uniform(0.4, 1.2),
        seconds=chance.choice((chance.uniform(0.3, 2.0), chance.uniform(1.0, 6.0))),
        stopped=(index + index // 5) % 5 in (1, 3),
    )
