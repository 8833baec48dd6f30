"""The rules of `stateful`: each is a thing that happens to a world, in any order, and after each every promise must hold."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from refreshd.demo import storms
from refreshd.demo.dialects import Dialect
from refreshd.demo.faults import (
    DelayRequest,
    DuplicateRequest,
    Ending,
    Fault,
    Latency,
    LoseAnswer,
    LoseRequest,
    Storm,
    TruncateAnswer,
)
from refreshd.demo.grants import Grace
from refreshd.domain.steps import Step
from tests.programme.simulated.houses import HOUSES, House
from tests.programme.simulated.operator import Operator
from tests.programme.world import DAY, HOUR, MINUTE, Scale, World, scratch

EACH = 6  # credentials of each client

FAULTS: tuple[Fault, ...] = (
    LoseRequest(),
    LoseRequest(ending=Ending.HANG),
    LoseAnswer(),
    LoseAnswer(ending=Ending.HANG),
    TruncateAnswer(at=30),
    DelayRequest(after=30.0),
    DelayRequest(after=100.0),
    DuplicateRequest(after=3.0),
    Latency(low=20.0, high=200.0),
    storms.gateway(502),
    storms.gateway(504, commits=True),
    storms.throttled(30),
    storms.unavailable(),
    storms.concurrent_use(),
)
PHASES: dict[str, Fault] = {
    "outage": LoseRequest(ending=Ending.HANG),
    "invalid_client": storms.client_refused(),
    "invalid_grant to all": storms.everyone_refused(),
    "throttling": storms.throttled(600),
    "unavailable": storms.unavailable(),
}
NAMES = st.integers(0, 2 * EACH - 1)
WHICH = st.integers(0, 1)
MOMENTS = st.sampled_from((0.03, 0.3, 1.0, 5.0, 30.0, MINUTE))
SPANS = st.sampled_from((MINUTE, 10 * MINUTE, HOUR, 6 * HOUR))
STEPS_OF_CLOCK = st.sampled_from((-DAY, -HOUR, -MINUTE, -10.0, 10.0, MINUTE, HOUR, DAY))

P = ParamSpec("P")
T = TypeVar("T")
_Machine = TypeVar("_Machine", bound="Sequences")


class Totals:
    """What all examples of a run came to. Hypothesis makes the machines, so this stands beside them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples = 0
        self.going: Callable[[], bool] = lambda: True
        self.last: list[str] = []
        self.failed = False


TOTALS = Totals()


def told(act: Callable[Concatenate[_Machine, P], object]) -> Callable[Concatenate[_Machine, P], None]:
    """Count each rule that really ran, and keep its words; once the time is over nothing runs any more."""

    def counted(self: _Machine, /, *arguments: P.args, **named: P.kwargs) -> None:
        self.over = self.over or not TOTALS.going()
        if self.over:
            return
        name = act.__name__.replace("_", " ")
        self.said.append(f"{self.world.timeline.now:.2f} {name} {named or ''}")
        if act(self, *arguments, **named) is False:
            self.said[-1] += " in vain"
        else:
            self.world.watch.counts[f"rule {name}"] += 1

    update_wrapper(counted, act)  # the rule's arguments are read from what it wraps
    return counted


class Sequences(RuleBasedStateMachine):
    """One world, and every rule a thing that happens to it."""

    @initialize(other=st.sampled_from(HOUSES[1:]), number=st.integers(0, 2**32))
    def open_a_world(self, other: House, number: int) -> None:
        self.over = not (TOTALS.going() or TOTALS.failed)  # what failed is run once more to be told of
        self.said: list[str] = [f"{other.name} {number}"]
        TOTALS.last = self.said
        self.files = scratch()
        strict = HOUSES[0]
        self.world = World(
            self.files.__enter__(),
            seed=str(number),
            scale=Scale(credentials=2 * EACH, days=0),
            houses=(replace(strict, share=1), replace(other, share=1)),
        )
        self.operator = Operator(self.world)
        if not self.over:
            self.world.settle_in(within=20 * MINUTE)
            self.world.begin()
            self.world.pass_time(30 * MINUTE)

    # Time

    @rule(seconds=MOMENTS)
    @told
    def let_moments_pass(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(seconds=SPANS)
    @told
    def let_time_pass(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(days=st.integers(0, 9))
    @told
    def let_days_pass(self, days: int) -> bool:
        """Seldom more than an hour: a day is dear."""
        self.world.pass_time(days // 7 * DAY + HOUR)
        return days > 6

    @rule(who=NAMES)
    @told
    def catch_a_request_in_flight(self, who: int) -> bool:
        """What comes next happens between the first byte and the commit."""
        self.operator.mark_due(self.names[who])
        caught = self.world.pass_until(self.world.in_flight, most=3.0)
        self.world.watch.counts["requests in flight"] += caught
        return caught

    @rule(who=NAMES)
    @told
    def refresh(self, who: int) -> bool:
        due = self.operator.mark_due(self.names[who])
        self.world.pass_time(3.0)
        return due

    # The process and its machine

    @rule(downtime=st.sampled_from((0.05, 2.0, 30.0, 70.0, HOUR)))
    @told
    def crash(self, downtime: float) -> bool:
        up = self.world.machine.up
        if up:
            self.world.machine.downtime = downtime
            self.world.machine.die("crashes")
        return up

    @rule(step=st.sampled_from(Step), turn=st.integers(1, 3))
    @told
    def crash_at_a_step(self, step: Step, turn: int) -> None:
        self.world.machine.life.doom = self.world.machine.doom = (step, turn)

    @rule()
    @told
    def stop_in_order(self) -> bool:
        self.world.machine.stop()
        return self.world.machine.up

    @rule(seconds=st.sampled_from((5.0, 120.0, 10 * MINUTE, 3 * HOUR)))
    @told
    def suspend(self, seconds: float) -> None:
        self.world.suspend(seconds)

    @rule(seconds=st.sampled_from((5.0, 120.0, 10 * MINUTE)))
    @told
    def freeze(self, seconds: float) -> None:
        self.world.freeze(seconds)

    @rule(who=NAMES, seconds=st.sampled_from((4.0, 40.0, 100.0, 10 * MINUTE)), asleep=st.booleans())
    @told
    def stop_a_request_between_claim_and_first_byte(self, who: int, seconds: float, *, asleep: bool) -> bool:
        """The lease is measured in time that goes on meanwhile (R1, R8)."""
        way = self.world.providers[self.world.owners[self.names[who]]].way
        slow, way.slow = way.slow, 1.0
        self.operator.mark_due(self.names[who])
        caught = self.world.pass_until(self.world.connecting, most=3.0)
        way.slow = slow
        if caught:
            (self.world.suspend if asleep else self.world.freeze)(seconds)
        return caught

    @rule(by=STEPS_OF_CLOCK)
    @told
    def step_the_clock(self, by: float) -> None:
        self.world.step_clock(by)

    @rule(seconds=st.sampled_from((1.0, MINUTE, 10 * MINUTE)))
    @told
    def fill_the_disk(self, seconds: float) -> None:
        self.world.fill_disk(seconds)

    # People

    @rule(who=NAMES)
    @told
    def pause(self, who: int) -> bool:
        return self.operator.pause(self.names[who])

    @rule(who=NAMES)
    @told
    def resume(self, who: int) -> bool:
        return self.operator.resume(self.names[who])

    @rule(who=NAMES)
    @told
    def remove(self, who: int) -> bool:
        return self.operator.remove(self.names[who])

    @rule(who=NAMES)
    @told
    def replace(self, who: int) -> bool:
        return self.operator.replace(self.names[who])

    @rule()
    @told
    def adopt(self) -> bool:
        return self.operator.adopt()

    @rule()
    @told
    def adopt_keys(self) -> bool:
        return self.operator.adopt_keys()

    @rule(which=WHICH)
    @told
    def end_storm(self, which: int) -> bool:
        return self.operator.end_storm(list(self.world.houses)[which])

    @rule(who=NAMES)
    @told
    def revoke(self, who: int) -> bool:
        return self.operator.revoke(self.names[who])

    @rule()
    @told
    def back_up(self) -> None:
        self.operator.back_up()

    @rule()
    @told
    def restore(self) -> bool:
        restored = self.operator.restore()
        self.world.watch.counts["restores"] += restored
        return restored

    # Redis

    @rule(seconds=st.sampled_from((1.0, 10.0, 10 * MINUTE, HOUR)))
    @told
    def lose_redis(self, seconds: float) -> None:
        self.world.watch.counts["redis outages"] += 1
        self.operator.blind_redis()
        self.world.server.lose(seconds)
        self.world.machine.alert()

    @rule()
    @told
    def flush_redis(self) -> None:
        self.operator.flush_redis()

    @rule()
    @told
    def let_another_store_take_the_keys(self) -> bool:
        if self.world.server.meta is None:
            return False
        self.operator.blind_redis()
        self.world.server.meta = "another"
        self.world.machine.alert()
        return True

    # Providers

    @rule(which=WHICH, dialect=st.sampled_from(Dialect))
    @told
    def switch_the_dialect(self, which: int, dialect: Dialect) -> None:
        self._rules(which, dialect=dialect)

    @rule(which=WHICH, rotates=st.booleans())
    @told
    def switch_rotation(self, which: int, *, rotates: bool) -> None:
        self._rules(which, rotates=rotates)

    @rule(grace=st.sampled_from(Grace))
    @told
    def switch_the_grace_nobody_configured(self, grace: Grace) -> None:
        """Only of a client whose configuration knows of none: a grace that vanishes would be a wrong configuration."""
        self._rules(0, grace=grace, grace_seconds=60.0)

    @rule(which=WHICH, faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3))
    @told
    def spoil_requests(self, which: int, faults: list[Fault]) -> None:
        self._provider(which).faults.script(*faults)

    @rule(which=WHICH, kind=st.sampled_from(sorted(PHASES)), seconds=SPANS)
    @told
    def begin_a_bad_phase(self, which: int, kind: str, seconds: float) -> None:
        provider = self._provider(which)
        name = "grant storms" if kind == "invalid_grant to all" else kind
        self.world.watch.trouble(provider.house.name, name, lasts=seconds)
        provider.faults.storm(Storm(fault=PHASES[kind], until=self.world.timeline.now + seconds))

    @rule(which=WHICH)
    @told
    def end_bad_phases(self, which: int) -> None:
        self._provider(which).faults.clear()

    # Promises

    @invariant()
    def keep_every_promise(self) -> None:
        if not self.over:
            self._complain()

    def teardown(self) -> None:
        try:
            if not self.over and not self.world.watch.violations:
                self.operator.resume_all()
                self.operator.adopt_keys()
                self.world.end_well()
                self._complain()
        finally:
            TOTALS.examples += not self.over
            TOTALS.counts += self.world.watch.counts
            self.world.__exit__(None, None, None)
            self.files.__exit__(None, None, None)

    def _complain(self) -> None:
        if self.world.watch.violations:
            TOTALS.failed = True
            raise AssertionError("\n".join(self.world.watch.violations))

    @property
    def names(self) -> list[str]:
        return self.world.ids

    def _provider(self, which: int) -> Any:
        return list(self.world.providers.values())[which]

    def _rules(self, which: int, **changes: object) -> None:
        provider = self._provider(which)
        provider.ledger.rules = replace(provider.ledger.rules, **changes)
