"""What befalls a world, drawn from its seed: what each request may meet, and phases that come, last and go."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from refreshd.demo import storms
from refreshd.demo.faults import (
    DelayRequest,
    DripAnswer,
    DuplicateRequest,
    Ending,
    Fault,
    LoseAnswer,
    LoseRequest,
    Storm,
    TruncateAnswer,
)

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Phase:
    """Comes every `every` seconds of virtual time in the mean."""

    name: str
    every: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Climate:
    """How rough it is. `mixture`: shares of the requests and what befalls them. `refused`, `slow`: shares of connections."""

    mixture: tuple[tuple[float, Fault], ...]
    refused: float
    slow: float
    phases: tuple[Phase, ...]


def _often(stretch: float) -> tuple[Phase, ...]:
    hours = {
        "crashes": 3,
        "crashes at a step": 3,
        "restarts": 20,
        "long stops": 40,
        "outages": 12,
        "storms of refusals": 6,
        "invalid_client phases": 20,
        "grant storms": 30,
        "redis outages": 6,
        "redis flushes": 12,
        "clock steps": 10,
        "suspensions": 20,
        "freezes": 20,
        "full disks": 20,
    }
    return tuple(Phase(name, every * HOUR * stretch) for name, every in hours.items())


ROUGH = Climate(
    mixture=(
        (0.0010, LoseRequest(ending=Ending.RESET)),
        (0.0005, LoseRequest(ending=Ending.HANG)),
        (0.0003, LoseAnswer(ending=Ending.RESET)),
        (0.0001, LoseAnswer(ending=Ending.HANG)),
        (0.0002, TruncateAnswer(at=20)),
        (0.0002, TruncateAnswer(at=0)),
        (0.0005, DelayRequest(after=20.0)),
        (0.00005, DelayRequest(after=90.0)),
        (0.0002, DuplicateRequest(after=5.0)),
        (0.0010, DripAnswer(pause=0.01)),
        (0.0010, storms.gateway(502)),
        (0.0002, storms.gateway(504, commits=True)),
        (0.0010, storms.throttled(5)),
        (0.0010, storms.unavailable(10)),
        (0.0005, storms.unavailable()),
        (0.0003, storms.concurrent_use()),
        (0.0003, storms.page()),
    ),
    refused=0.003,
    slow=0.002,
    phases=_often(1.0),
)
MILD = replace(ROUGH, phases=_often(8.0))
CALM = Climate(mixture=(), refused=0.0, slow=0.0, phases=())


def arrivals(phases: tuple[Phase, ...], chance: random.Random, *, until: float) -> list[tuple[float, str]]:
    """When each phase comes, in order."""
    found = []
    for phase in phases:
        at = chance.expovariate(1 / phase.every)
        while at < until:
            found.append((at, phase.name))
            at += chance.expovariate(1 / phase.every)
    return sorted(found)


def storm_of(kind: str, chance: random.Random, *, until: float) -> Storm:
    """What every request of a client meets until then."""
    makers: dict[str, tuple[Callable[[], Fault], ...]] = {
        "storms of refusals": (
            lambda: storms.throttled(chance.choice((None, 1, 30))),
            lambda: storms.unavailable(chance.choice((None, 5, 120))),
            lambda: storms.gateway(500),
        ),
        "invalid_client phases": (storms.client_refused,),
        "grant storms": (storms.everyone_refused,),
        "outages": (lambda: LoseRequest(ending=Ending.HANG), lambda: LoseRequest(ending=Ending.CLOSE)),
    }
    return Storm(fault=chance.choice(makers[kind])(), until=until)
