"""Which death a case is: decided by its number and the run's seed alone, so that a case can be asked for again."""

import random
from dataclasses import dataclass
from enum import StrEnum

from refreshd.demo.faults import Ending, Fault, Latency, LoseRequest
from refreshd.demo.grants import Grace, Rules
from refreshd.domain.steps import Step
from tests.programme.daemons.installation import LIFETIME

SITES = (Grace.NONE, Grace.NONE, Grace.SAME, Grace.NEW)
"""What a used token still gets, for each installation that runs beside the others; case `i` falls on number `i % 4`."""

GRACE_SECONDS = 30.0
_INSTALLED_EVERY = 16
_ONCE_A_START = (Step.RECOVER_BEGUN, Step.RECOVER_WRITTEN, Step.RECOVERED)
_INSPECTED_EVERY = 8


class Kind(StrEnum):
    RANDOM = "random"
    STEP = "step"
    PROVIDER = "provider-side"


class Moment(StrEnum):
    """Of a request at the provider, when its sender dies."""

    LOST = "received, never committed"
    BEFORE_COMMIT = "received, then committed"
    AFTER_COMMIT = "committed, not answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kill. `delay`: seconds, since the start or since it was ready; `turn`: at which time a step or moment comes."""

    index: int
    kind: Kind
    installed: bool
    inspected: bool
    delay: float
    after_ready: bool
    step: Step
    moment: Moment
    turn: int
    weather: Fault | None

    @property
    def site(self) -> int:
        return self.index % len(SITES)

    @property
    def environ(self) -> dict[str, str]:
        if self.kind is not Kind.STEP:
            return {}
        return {"TEST_REFRESHD_FAIL_POINTS": f"{self.step}=kill@{self.turn}"}


def case_of(seed: int, index: int) -> Case:
    """Steps and installations take turns; the rest is chance."""
    chance = random.Random(f"{seed}/{index}")
    turn_of_site = index // len(SITES)
    inspected = turn_of_site % _INSPECTED_EVERY == _INSPECTED_EVERY - 1
    kind = Kind.RANDOM if inspected else chance.choices(list(Kind), weights=(45, 35, 20))[0]
    step = list(Step)[turn_of_site % len(Step)]
    windy = kind is Kind.RANDOM and not inspected
    return Case(
        index=index,
        kind=kind,
        installed=turn_of_site % _INSTALLED_EVERY == _INSTALLED_EVERY // 2,
        inspected=inspected,
        delay=chance.uniform(0.0, 0.8),
        after_ready=chance.random() < 0.7,
        step=step,
        moment=chance.choice(list(Moment)),
        turn=1 if step in _ONCE_A_START else chance.randint(1, 4),
        weather=_weather(chance, gentle=SITES[index % len(SITES)] is Grace.NONE) if windy else None,
    )


def rules_of(site: int) -> Rules:
    grace = SITES[site]
    seconds = 0.0 if grace is Grace.NONE else GRACE_SECONDS
    return Rules(access_lifetime=LIFETIME, grace=grace, grace_seconds=seconds)


def _weather(chance: random.Random, *, gentle: bool) -> Fault | None:
    """What befalls all requests of a life. `gentle`: slow answers cost logins there, so they are rarer."""
    slow, silent = Latency(low=0.0, high=0.3), LoseRequest(ending=Ending.HANG)
    draw = chance.random()
    if draw < (0.06 if gentle else 0.35):
        return slow
    return silent if draw > 0.8 else None
