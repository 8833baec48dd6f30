"""The daemon at the pace of a million credentials with one-hour tokens: 300 fall due every second."""

import time
from dataclasses import dataclass
from pathlib import Path

from bench.credentials import write_grants
from bench.exposition import quantile
from bench.installation import daemon, install
from bench.processes import cpu_seconds
from bench.subjects.daemon import BEFORE_EXPIRY, CLIENT
from bench.token_provider import TokenProvider
from bench.visible import Watcher, percentile

RATE = 300
LEAD_SECONDS = 20.0  # for the import, the start and the first publication
SETTLE_SECONDS = 5.0
MEASURED_SECONDS = 20.0
TAIL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """Seconds, but `core` (share of one), `behind` (most refreshes due and not yet asked for) and `dialled` (a refresh)."""

    core: float
    behind: float
    refresh_p99: float
    publish_p99: float
    visible_p99: float
    dialled: float


def paced(directory: Path, provider: TokenProvider, redis_url: str) -> Paced:
    """One run. Due instants are spread evenly, as they are in the long run."""
    installed = install(directory, endpoints={CLIENT: provider.url}, redis_url=redis_url)
    file = directory / "grants.jsonl"
    start = time.time() + LEAD_SECONDS
    count = int(RATE * (SETTLE_SECONDS + MEASURED_SECONDS + TAIL_SECONDS))
    write_grants(file, count, client=CLIENT, label="c", expires_at=lambda number: start + number / RATE + BEFORE_EXPIRY)
    installed.command("import", str(file))
    asked_before = provider.seen().requests
    with daemon(installed) as pid, Watcher(redis_url) as watcher:
        time.sleep(max(0.0, start + SETTLE_SECONDS - time.time()))
        watcher.take()
        before, seen, cpu, began = installed.metrics(), provider.seen(), cpu_seconds(pid), time.monotonic()
        behind = 0.0
        while time.monotonic() < began + MEASURED_SECONDS:
            time.sleep(0.2)
            due = (time.time() - start) * RATE
            behind = max(behind, due - (provider.seen().requests - asked_before))
        used, took = cpu_seconds(pid) - cpu, time.monotonic() - began
        after, asked = installed.metrics(), provider.seen()
        delays = watcher.take()
    return Paced(
        core=used / took,
        behind=behind,
        refresh_p99=quantile(before, after, "refreshd_refresh_duration_seconds", 0.99),
        publish_p99=quantile(before, after, "refreshd_publish_lag_seconds", 0.99),
        visible_p99=percentile(delays, 0.99),
        dialled=(asked.connections - seen.connections) / (asked.requests - seen.requests),
    )
