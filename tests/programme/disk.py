"""The store's disk is full, refuses writes, hangs or is locked while answers are on their way, and is mended again.

Answers are kept in memory and stored then; meanwhile nothing new is asked for, and a SIGTERM drops none of them.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.components.redis_server import RedisServer
from tests.programme.daemons.findings import Findings
from tests.programme.daemons.processes import ForkServer
from tests.programme.daemons.side_by_side import Cases, side_by_side
from tests.programme.disks.plan import SITES, Trouble, case_of
from tests.programme.disks.site import Site
from tests.programme.programme import Limits, Report, per_thousand

TROUBLES_A_SITE = 100
_TOOLS = ("mount", "mkfs.ext4", "chattr", "fsfreeze")


def can_mount() -> bool:
    """Whether this process may make file systems to break. Else only the lock is tried, and the report says so."""
    return os.geteuid() == 0 and all(map(shutil.which, _TOOLS)) and Path("/dev/loop-control").exists()


def run(limits: Limits) -> Report:
    """`n` troubles, over four installations side by side."""
    findings = [Findings() for _ in range(SITES)]
    cases, root = Cases(limits, SITES), can_mount()
    with tempfile.TemporaryDirectory(prefix="disk-") as name, RedisServer() as redis, ForkServer() as server:

        def work(number: int, turn: int, indices: Iterable[int]) -> None:
            directory = Path(name) / f"site-{number}-{turn}"
            url = f"{redis.url.removesuffix('/0')}/{number}"
            with Site(directory, server, url, findings[number], root=root) as site:
                for index in indices:
                    site.suffer(case_of(limits.seed, index, root=root))
                site.judge()

        failures = side_by_side(cases, work, most=TROUBLES_A_SITE)
    return Report(
        name="disk",
        n=cases.done,
        seed=limits.seed,
        seconds=limits.elapsed,
        counts=_together(findings, root=root),
        violations=[*failures, *(text for one in findings for text in one.violations)],
        minima=per_thousand(
            cases.done, {"answers kept in memory": 1000, "stops meanwhile": 200, **_each(root=root, least=100)}
        ),
    )


def _each(*, root: bool, least: int) -> dict[str, int]:
    return {f"disk {trouble}": least for trouble in Trouble if root or not trouble.needs_root}


def _together(findings: list[Findings], *, root: bool) -> dict[str, int]:
    counts: Counter[str] = sum((one.counts for one in findings), Counter())
    counts["slowest recovery in ms"] = int(max(one.slowest for one in findings) * 1000)
    if not root:
        counts["kinds of trouble skipped, as they need root"] = sum(trouble.needs_root for trouble in Trouble)
    return dict(sorted(counts.items()))
