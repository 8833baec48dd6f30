"""The lines to the provider and to Redis are slow, silent, cut, reset and down; both come back, and so does everything.

No token reaches the grant check twice unless its answer was lost on the line, and no fault of Redis holds up a refresh.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.components.redis_server import RedisServer
from tests.programme.daemons.processes import ForkServer
from tests.programme.daemons.side_by_side import Cases, side_by_side
from tests.programme.lines.plan import SITES, Link, Trouble, case_of
from tests.programme.lines.site import Findings, Site
from tests.programme.programme import Limits, Report, per_thousand

TROUBLES_A_SITE = 150


def run(limits: Limits) -> Report:
    """`n` troubles, over four installations side by side, two of them with a provider that has a grace."""
    findings = [Findings() for _ in SITES]
    cases = Cases(limits, len(SITES))
    with tempfile.TemporaryDirectory(prefix="wire-") as name, RedisServer() as redis, ForkServer() as server:

        def work(number: int, turn: int, indices: Iterable[int]) -> None:
            with Site(number, Path(name) / f"site-{number}-{turn}", server, redis, findings[number]) as site:
                for index in indices:
                    site.suffer(case_of(limits.seed, index))
                site.judge()

        failures = side_by_side(cases, work, most=TROUBLES_A_SITE)
    return Report(
        name="wire",
        n=cases.done,
        seed=limits.seed,
        seconds=limits.elapsed,
        counts=_together(findings),
        violations=[*failures, *(text for one in findings for text in one.violations)],
        minima=per_thousand(
            cases.done,
            {
                "answers lost on the line": 50,
                "attempts while nobody listened": 20,
                "looks at /livez": 2000,
                "rarest trouble": 20,
                "refreshes while Redis was in trouble": 500,
            },
        ),
    )


def _together(findings: list[Findings]) -> dict[str, int]:
    counts: Counter[str] = sum((one.counts for one in findings), Counter())
    each = {(link, trouble): counts.pop(f"{link}: {trouble}", 0) for link in Link for trouble in Trouble}
    counts["rarest trouble"] = min(each.values())
    for link in Link:
        counts[f"slowest recovery from {link} in ms"] = int(max(one.slowest[link] for one in findings) * 1000)
    return dict(sorted(counts.items()))
