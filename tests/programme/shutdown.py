"""SIGTERM at random instants, during the start too and more than once, while answers take up to ten seconds.

Nothing may be lost: every answer that the provider gave is stored and published, the exit code is 0, the drain is bounded.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.components.redis_server import RedisServer
from tests.programme.daemons.findings import Findings
from tests.programme.daemons.processes import ForkServer
from tests.programme.daemons.side_by_side import Cases, side_by_side
from tests.programme.programme import Limits, Report, per_thousand
from tests.programme.stopping.plan import LONGEST_ANSWER, SITES, case_of
from tests.programme.stopping.site import Site

STOPS_A_SITE = 250


def run(limits: Limits, *, longest: float = LONGEST_ANSWER) -> Report:
    """`n` stops, over eight installations that mostly wait. `longest`: seconds that an answer may take."""
    findings = [Findings() for _ in range(SITES)]
    cases = Cases(limits, SITES)
    with tempfile.TemporaryDirectory(prefix="shutdown-") as name, RedisServer() as redis, ForkServer() as server:

        def work(number: int, turn: int, indices: Iterable[int]) -> None:
            directory = Path(name) / f"site-{number}-{turn}"
            with Site(directory, server, f"{redis.url.removesuffix('/0')}/{number}", findings[number]) as site:
                for index in indices:
                    site.stop(case_of(limits.seed, index, longest=longest))
                site.judge()

        failures = side_by_side(cases, work, most=STOPS_A_SITE)
    counts: Counter[str] = sum((one.counts for one in findings), Counter())
    counts["longest stop in ms"] = int(max(one.slowest for one in findings) * 1000)
    return Report(
        name="shutdown",
        n=cases.done,
        seed=limits.seed,
        seconds=limits.elapsed,
        counts=dict(sorted(counts.items())),
        violations=[*failures, *(text for one in findings for text in one.violations)],
        minima=per_thousand(
            cases.done,
            {
                "answers that arrived during the drain": 1000,
                "signals repeated": 300,
                "stops during the start": 80,
                "stops with requests in flight": 150,
            },
        ),
    )
