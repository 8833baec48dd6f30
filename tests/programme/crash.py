"""kill -9 of the daemon at random instants, at every step of its work and from the provider's side; the ledger judges.

A lost login must be explained: the provider had rotated and the kill came before our commit (protocol §5, row 4). With a
provider grace of 30 s none may be lost at all.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from refreshd.domain.steps import Step
from tests.components.redis_server import RedisServer
from tests.programme.crashing.plan import SITES, Moment, case_of
from tests.programme.crashing.site import Site
from tests.programme.daemons.findings import Findings
from tests.programme.daemons.processes import ForkServer
from tests.programme.daemons.side_by_side import Cases, side_by_side
from tests.programme.programme import Limits, Report, per_thousand

KILLS_A_SITE = 250
_STEP = "rarest step"
_MOMENT = "rarest moment at the provider"
_SLOWEST = "slowest restart in ms"


def run(limits: Limits) -> Report:
    """`n` kills, over four installations that live and die side by side."""
    findings = [Findings() for _ in SITES]
    cases = Cases(limits, len(SITES))
    with tempfile.TemporaryDirectory(prefix="crash-") as name, RedisServer() as redis, ForkServer() as server:

        def work(number: int, turn: int, indices: Iterable[int]) -> None:
            directory = Path(name) / f"site-{number}-{turn}"
            url = f"{redis.url.removesuffix('/0')}/{number}"
            with Site(number, directory, server, url, findings[number]) as site:
                for index in indices:
                    site.strike(case_of(limits.seed, index))
                site.judge()

        failures = side_by_side(cases, work, most=KILLS_A_SITE)
    return Report(
        name="crash",
        n=cases.done,
        seed=limits.seed,
        seconds=limits.elapsed,
        counts=_together(findings),
        violations=[*failures, *(text for one in findings for text in one.violations)],
        minima=_minima(cases.done),
    )


def _together(findings: list[Findings]) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for one in findings:
        counts += one.counts
    steps = {str(step): counts.pop(f"at {step}", 0) for step in Step}
    moments = {str(moment): counts.pop(f"at {moment}", 0) for moment in Moment}
    counts[_STEP] = min(steps.values())
    counts[_MOMENT] = min(moments.values())
    counts[_SLOWEST] = int(max(one.slowest for one in findings) * 1000)
    return dict(sorted(counts.items()))


def _minima(n: int) -> Mapping[str, int]:
    """Half of what comes of itself: kills of each sort, doubts, losses inside the window."""
    return per_thousand(
        n,
        {
            "attempts in doubt": 100,
            "doubts recovered": 50,
            "kills before it was ready": 20,
            "kills of the installed command": 50,
            "logins lost in the window": 20,
            "provider-side kills": 50,
            "random kills": 200,
            "restarts timed": 50,
            "step kills": 100,
            "tokens presented twice": 50,
            _MOMENT: 8,
            _STEP: 3,
        },
    )
