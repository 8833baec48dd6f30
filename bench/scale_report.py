"""What `bench.scale` measured, as a section of the page."""

from collections.abc import Sequence

from bench import page
from bench.goals import Aim, Figure, shown, table
from bench.installation import CONCURRENCY
from bench.scale import BEAT_SECONDS, BEATS, Scale


def report(runs: Sequence[Scale], command: str, *, load: str) -> str:
    """The section of the page."""
    about = (
        "Tokens and provider as above. Credentials are imported from JSON lines, published, imported beside, flushed from "
        f"Redis, looked at without anything due, and found after a day without the daemon. {BEATS} more with tokens of "
        f"{BEAT_SECONDS} s keep the daemon refreshing all the while."
    )
    return page.section(
        "Scale", load=load, command=command, about=[about], figures=figures(runs), tables=[_sizes(runs)]
    )


def figures(runs: Sequence[Scale]) -> Sequence[Figure]:
    """Every goal of scale, at the greatest size that was run."""
    most, least = runs[-1], runs[0]
    at = f"at {most.size:,}"
    flushed = most.size <= 100_000
    return [
        Figure(name=f"empty tick at {most.size:,} ÷ at {least.size:,}", value=most.tick_ms / least.tick_ms, goal=2),
        Figure(name=f"peak memory {at}", value=most.memory, unit="MiB", goal=160),
        Figure(name=f"peak memory {at} above imports only", value=most.memory_above, unit="MiB", goal=40),
        Figure(name=f"import {at}", value=most.import_rate, unit="/s", aim=Aim.AT_LEAST, goal=8000),
        Figure(name="import ÷ bare executemany", value=most.import_ratio, aim=Aim.AT_LEAST, goal=0.4),
        Figure(
            name="longest wait of a refresh's commit beside an import",
            value=most.commit_wait * 1000,
            unit="ms",
            goal=100,
        ),
        Figure(name="start-up to first refresh", value=most.first_refresh, unit="s", goal=5, note=at),
        Figure(name="`/metrics`", value=most.scrape_kib, unit="KiB", goal=64, note=at),
        Figure(name="republication after a flush", value=most.republication_seconds, unit="s", goal=60, note=at)
        if flushed
        else Figure(
            name="republication after a flush",
            value=most.republication_rate,
            unit="keys/s",
            aim=Aim.AT_LEAST,
            goal=5000,
            note=at,
        ),
        Figure(
            name="less urgent requests before the last of a more urgent class, after a day's outage",
            value=max(run.overtaken for run in runs),
            goal=CONCURRENCY,
            note="as many as are in flight",
        ),
    ]


_ROWS = (
    ("import, credentials/s", "import_rate", ""),
    ("import ÷ bare executemany", "import_ratio", ""),
    ("peak memory of the import", "import_memory", "MiB"),
    ("store file", "file_size", "MiB"),
    ("start to first refresh", "first_refresh", "s"),
    ("first publication, credentials/s", "publication_rate", ""),
    ("longest commit wait beside an import", "commit_wait", "s"),
    ("longest publish lag beside an import (upper bound of its bucket)", "publish_lag", "s"),
    ("`/metrics`", "scrape_kib", "KiB"),
    ("republication after FLUSHALL, keys/s", "republication_rate", ""),
    ("republication after FLUSHALL", "republication_seconds", "s"),
    ("peak memory of the daemon", "memory", "MiB"),
    ("the same above imports only", "memory_above", "MiB"),
    ("empty tick", "tick_ms", "ms"),
    ("catch-up after a day, refreshes/s", "catch_up_rate", ""),
    ("overtaken in the catch-up, requests", "overtaken", ""),
)


def _sizes(runs: Sequence[Scale]) -> str:
    rows = [(title, *(shown(float(getattr(run, name)), unit) for run in runs)) for title, name, unit in _ROWS]
    return table(("stored credentials", *(f"{run.size:,}" for run in runs)), rows)
