"""What was counted and what was broken, of any number of cases."""

from collections import Counter
from dataclasses import dataclass, field

from refreshd.domain.outcome import Outcome, Refreshed
from tests.programme.fuzzing import judge as j
from tests.programme.fuzzing.answers import Case
from tests.programme.fuzzing.bodies import CAP
from tests.programme.fuzzing.judge import Reading
from tests.programme.fuzzing.promises import kind

COUNTS = (
    "successes",
    "salvaged tokens",
    j.FAST,
    j.SLOW,
    j.SLOWEST,
    j.UNCERTAIN,
    j.SHARED,
    j.DEFERRED,
    j.MISCONFIGURED,
    "condemned",
    "truncated",
    "oversized",
    "compressed",
    "duplicate keys",
    "surrogates",
    "stored",
    "over the wire",
    "cut on the wire",
    "bytes behind",
    "late answers",
    "interim answers",
    "broken heads",
)


@dataclass
class Tally:
    """`counts` has every name from the start, so that what never happened is seen to be 0."""

    done: int = 0
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(COUNTS, 0)))
    violations: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.done += other.done
        self.counts.update(other.counts)
        self.violations += other.violations

    def blame(self, case: Case, broken: list[str]) -> None:
        self.violations += [f"{text}: {case}" for text in broken]

    def count(self, case: Case, packed: bytes, body: bytes, reading: Reading, outcome: Outcome) -> None:
        """`packed`: the body as it came, `body`: as it can be read."""
        counts, name = self.counts, kind(outcome)
        if isinstance(outcome, Refreshed):
            counts["successes"] += outcome.access is not None
            token = outcome.refresh_token
            counts["salvaged tokens"] += token is not None and not reading.whole
            counts["surrogates"] += token is not None and any(
                "\ud800" <= one <= "\udfff" for one in token.reveal()[:99]
            )
        else:
            counts[name] += 1
        counts["truncated"] += case.cut_short and 200 <= case.status < 300
        counts["oversized"] += len(body) > CAP
        counts["compressed"] += body is not packed
        counts["duplicate keys"] += reading.duplicates
