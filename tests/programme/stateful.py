"""Random sequences of operations on the whole daemon in a simulated world: what people, clocks, providers and kills can do.

A sequence is a hundred steps of Hypothesis over `simulated.sequences`, with the same promises as `simulate`; at its end all faults
end, and whatever lives must be fresh. Sequences come in batches of 25; a batch is its seed and index.
"""

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.programme.processes import in_processes
from tests.programme.programme import Limits, Report, per_thousand
from tests.programme.simulated.sequences import TOTALS, Sequences

BATCH = 25
STEPS = 100

MANY = 150
FEW = {"refreshes": 100, "doubts found at start": 1, "deaths": 5}
"""What must happen in fewer than `MANY` examples, of which Hypothesis lets each know only some of the rules."""
RARE = {
    "rule crash": 600,
    "rule crash at a step": 600,
    "rule stop a request between claim and first byte": 1_000,
    "rule step the clock": 1_000,
    "rule suspend": 1_000,
    "rule freeze": 600,
    "rule replace": 1_000,
    "restores": 50,
    "requests in flight": 400,
    "crashed in flight": 100,
    "credential.attempt_released": 150,
    "credential.held": 20,
    "doubts found at start": 500,
    "lost answers": 300,
    "logins lost": 100,
    "duplicates": 400,
    "grant storms seen": 15,
    "refreshes": 100_000,
}
"""How often each must happen in 1,000 examples."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch came to."""

    examples: int
    counts: Counter[str]
    violations: tuple[str, ...]


def run(limits: Limits, *, steps: int = STEPS) -> Report:
    """A batch is lived in a process of its own, as what Hypothesis draws hangs on what it drew before."""
    counts: Counter[str] = Counter()
    examples, violations = 0, list[str]()
    first = limits.first // BATCH
    work = partial(live, limits.seed, first * BATCH + limits.n, limits.began + limits.seconds, steps)
    for _index, batch in in_processes(work, first, lambda begun: limits.going(begun * BATCH), fresh=__name__):
        examples += batch.examples
        counts += batch.counts
        violations += batch.violations
    shown = {name: counts[name] for name in (*RARE, *sorted(counts.keys() - RARE.keys()))}
    return Report(
        name="stateful",
        n=examples,
        seed=limits.seed,
        seconds=limits.elapsed,
        counts=shown,
        violations=violations,
        minima=per_thousand(examples, RARE) if examples >= MANY else FEW,
    )


def live(number: int, end: int, until: float, steps: int, index: int) -> Batch:
    """Examples of batch `index` of a seed, up to the `end`th; what broke a promise comes back with all that led there.

    `until`: on the monotonic clock; what has not ended by then counts for nothing.
    """
    TOTALS.going = lambda: time.monotonic() < until
    chosen = settings(
        max_examples=min(BATCH, end - index * BATCH),
        stateful_step_count=steps,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(f"{number}/{index}")(Sequences), settings=chosen)
    except AssertionError as exc:
        again = f"python -m tests.programme stateful --n {BATCH} --minutes 60 --seed {number} --first {index * BATCH}"
        story = "\n  ".join(TOTALS.last)
        return Batch(TOTALS.examples, TOTALS.counts, (f"{exc}\n  {story}\n  repeat: {again}",))
    return Batch(TOTALS.examples, TOTALS.counts, ())
