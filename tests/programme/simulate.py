"""The whole daemon on virtual time, with its real store: months of refreshes while providers, Redis, clocks and itself fail.

A case is one world from its seed and index: some clients with their providers' habits, some credentials, some days; then all
faults end, and a quarter of an hour later whatever lives must be fresh. What is promised stands in `simulated.watch`.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tests.programme.processes import in_processes
from tests.programme.programme import Limits, Report, per_thousand
from tests.programme.simulated.houses import HOUSES, House
from tests.programme.simulated.weather import MILD, ROUGH, Climate
from tests.programme.virtual_time import Livelock
from tests.programme.world import Scale, World, scratch

_WORTH_TWO = 12  # cases; with fewer a second process costs more than it brings
MOST_HOUSES = 3
SHAPES = (Scale(credentials=40, days=1.0), Scale(credentials=12, days=3.0), Scale(credentials=24, days=1.5))
LONG = Scale(credentials=16, days=62.0)
WIDE = Scale(credentials=1000, days=0.6)
LONG_EVERY, WIDE_EVERY = 40, 50
ROUGH_FOR = 7.0  # days; longer worlds have milder weather
DAY = 86400.0

RARE = {
    "refreshes": 300_000,
    "crashes": 2_000,
    "doubts found at start": 500,
    "doubts recovered": 3_000,
    "lost answers": 200,
    "duplicates": 200,
    "storms of refusals": 1_000,
    "grant storms": 200,
    "grant storms seen": 30,
    "invalid_client phases": 300,
    "deferred outcomes": 50_000,
    "misconfigured outcomes": 1_000,
    "redis outages": 1_000,
    "redis flushes": 500,
    "clock steps": 500,
    "suspensions": 300,
    "freezes": 300,
    "full disks": 300,
    "logins lost": 100,
    "relogins": 150,
}
"""How often each dangerous case must happen in 1,000 worlds: about half of how often the weather makes it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One world, told by its seed and index alone."""

    scale: Scale
    climate: Climate
    houses: Sequence[House]


@dataclass(frozen=True, slots=True)
class Result:
    """What one world came to. `digest` is that of all its events: equal for equal seeds."""

    counts: Counter[str]
    violations: tuple[str, ...]
    digest: str


@dataclass(slots=True)
class Sum:
    """What all worlds came to."""

    done: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, seed: int, index: int, result: Result) -> None:
        self.done += 1
        self.counts += result.counts
        again = f"repeat: python -m tests.programme simulate --n 1 --minutes 60 --seed {seed} --first {index}"
        self.violations += [f"{text} ({again})" for text in result.violations]


def run(limits: Limits) -> Report:
    total = Sum()
    alone = limits.n < _WORTH_TWO
    scale = scale_of(limits)
    work = partial(simulate, limits.seed, scale=scale)
    for index, result in _one_by_one(limits, scale) if alone else in_processes(work, limits.first, limits.going):
        total.add(limits.seed, index, result)
    counts = {name: total.counts[name] for name in (*RARE, *sorted(total.counts.keys() - RARE.keys()))}
    return Report(
        name="simulate",
        n=total.done,
        seed=limits.seed,
        seconds=limits.elapsed,
        counts=counts | {"refreshes a second": int(counts["refreshes"] / max(limits.elapsed, 0.001))},
        violations=total.violations,
        minima=per_thousand(total.done, RARE) if scale is None else _of_large(total.done, scale),
    )


def scale_of(limits: Limits) -> Scale | None:
    """What every world is to be, when that was asked for."""
    return Scale(credentials=limits.credentials, days=limits.days) if limits.credentials else None


def plan(seed: int, index: int, scale: Scale | None = None) -> Plan:
    """Drawn, or of the given scale: then with every house, and tokens of a day, so that months of thousands end in minutes."""
    if scale is not None:
        return Plan(scale, ROUGH if scale.days <= ROUGH_FOR else MILD, [_day_long(house) for house in HOUSES])
    chance = random.Random(f"{seed}/{index}/plan")
    houses = chance.sample(HOUSES, chance.randint(1, MOST_HOUSES))
    if index % LONG_EVERY == LONG_EVERY - 1:
        return Plan(LONG, MILD, houses)
    if index % WIDE_EVERY == WIDE_EVERY - 1:
        return Plan(WIDE, ROUGH, houses)
    return Plan(SHAPES[index % len(SHAPES)], ROUGH, houses)


def simulate(seed: int, index: int, going: Callable[[], bool] = lambda: True, *, scale: Scale | None = None) -> Result:
    """Live through one world. `going` is asked once a virtual hour; a world that is broken off counts for nothing."""
    chosen = plan(seed, index, scale)
    with (
        scratch() as directory,
        World(
            directory,
            seed=f"{seed}/{index}",
            scale=chosen.scale,
            climate=chosen.climate,
            houses=chosen.houses,
        ) as world,
    ):
        try:
            world.run(going)
        except Livelock as exc:
            world.watch.broken(f"the daemon goes round and round {exc}")
        return Result(world.watch.counts, tuple(world.watch.violations), world.watch.digest.hexdigest())


def _day_long(house: House) -> House:
    return replace(house, rules=replace(house.rules, access_lifetime=DAY))


def _of_large(done: int, scale: Scale) -> dict[str, int]:
    """A large world has a token a day for most of its credentials, and its share of what befalls a daemon in its time."""
    stormy_days = scale.days if scale.days <= ROUGH_FOR else scale.days / 8
    often = ("crashes", "doubts recovered", "redis outages", "storms of refusals", "clock steps")
    return {"refreshes": int(0.8 * scale.credentials * scale.days) * done} | dict.fromkeys(
        often, int(stormy_days) * done
    )


def _one_by_one(limits: Limits, scale: Scale | None) -> Iterator[tuple[int, Result]]:
    done = 0
    while limits.going(done):
        index = limits.first + done
        yield index, simulate(limits.seed, index, scale=scale)
        done += 1
