"""Which trouble a case is: a kind of fault on one of the two lines, decided by its number and the run's seed alone."""

import random
from dataclasses import dataclass
from enum import StrEnum

from refreshd.demo.grants import Grace, Rules
from tests.programme.daemons.installation import LIFETIME

SITES = (Grace.NONE, Grace.NONE, Grace.SAME, Grace.NEW)
GRACE_SECONDS = 30.0
_LONG_EVERY = 12


class Link(StrEnum):
    PROVIDER = "provider"
    REDIS = "redis"


class Trouble(StrEnum):
    LATENCY = "latency"
    BLACKHOLE = "black hole"
    REFUSE = "refused"
    RESET = "reset"
    SEVER = "severed"
    CUT_ANSWERS = "answers cut"
    CUT_REQUESTS = "requests cut"
    DOWN = "down"


_SHORTEST = {Trouble.DOWN: 1.5}  # so that some credential's turn comes and goes while nobody listens


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One trouble. `seconds`: how long it lasts; `bytes`: after how many a line is cut; `latency`: seconds a chunk waits."""

    index: int
    link: Link
    trouble: Trouble
    seconds: float
    bytes: int
    latency: float

    @property
    def site(self) -> int:
        return self.index % len(SITES)


def case_of(seed: int, index: int) -> Case:
    """Links and kinds take turns; how long and how much is chance."""
    chance = random.Random(f"{seed}/{index}")
    turn = index // len(SITES) + index % len(SITES) * 5  # neighbours have different troubles
    kinds = list(Trouble)
    trouble = kinds[turn // 2 % len(kinds)]
    long = turn // (2 * len(kinds)) % _LONG_EVERY == _LONG_EVERY - 1
    return Case(
        index=index,
        link=list(Link)[turn % 2],
        trouble=trouble,
        seconds=7.0 if long and trouble is Trouble.BLACKHOLE else chance.uniform(_SHORTEST.get(trouble, 0.3), 2.5),
        bytes=_cut(chance, trouble),
        latency=chance.uniform(0.02, 0.4),
    )


def rules_of(site: int) -> Rules:
    grace = SITES[site]
    return Rules(access_lifetime=LIFETIME, grace=grace, grace_seconds=0.0 if grace is Grace.NONE else GRACE_SECONDS)


def _cut(chance: random.Random, trouble: Trouble) -> int:
    """An answer of the provider has about 350 bytes, a request 400 to 500; Redis sees some kilobytes each way."""
    most = 420 if trouble is Trouble.CUT_ANSWERS else 520
    return chance.choice((0, 1, chance.randrange(most), chance.randrange(most), chance.randrange(5000)))
