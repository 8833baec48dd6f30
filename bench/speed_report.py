"""What `bench.speed` measured, as a section of the page."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from bench import page
from bench.contenders import AUTHLIB, BARE_POST, FLOOR, SEQUENTIAL, THREADS, Contender
from bench.goals import Aim, Figure, table
from bench.paced import MEASURED_SECONDS, RATE, Paced
from bench.speed import DAEMON, LATENCY, Results
from bench.stretch import Stretch

OF_THE_SUBJECTS = (
    "The daemon is the installed command with SQLite (`synchronous=FULL`), metrics, and a JSON log line for each refresh "
    "into a file; 64 requests in flight. The alternatives store as durably, encrypted by Fernet, with one commit and one SET "
    "for each refresh, without metrics or log."
)


def report(results: Results, command: str) -> str:
    """The section of the page."""
    method = (
        f"Medians of {len(results.paced)} interleaved rounds. CPU is user and system time of the measured process with all "
        "its threads, by the operating system; the provider, Redis and the consumer that watches are not in it."
    )
    provider = (
        f"The provider (`bench/provider/provider.c`) answers after {LATENCY * 1000:.0f} ms; without that it bears "
        f"{results.provider_rate:,.0f} requests/s from a native client (`bench/provider/load.c`), so it is not the limit. "
        "Access tokens of 1,000, refresh tokens of 200 characters, rotated. Redis is Debian's."
    )
    return page.section(
        "Speed",
        command=command,
        load=results.load,
        about=[method, provider, OF_THE_SUBJECTS],
        figures=figures(results),
        tables=[_costs(results.stretches)],
    )


def figures(results: Results) -> Sequence[Figure]:
    """Every goal of speed. Ratios and differences are taken within a round, then the median."""
    runs, steady = results.stretches, results.paced
    ours, bare = runs[DAEMON], runs[BARE_POST.name]
    pairs = list(zip(ours, bare, strict=True))

    def ratio(other: Contender) -> float:
        return statistics.median(a.cpu / b.cpu for a, b in zip(ours, runs[other.name], strict=True))

    return [
        Figure(
            name="CPU per 1,000 refreshes, daemon less bare POST loop over the same transport",
            value=statistics.median(a.cpu - b.cpu for a, b in pairs),
            unit="CPU-s",
            goal=0.6,
        ),
        Figure(name="CPU, daemon ÷ 64 threads + requests", value=ratio(THREADS), goal=0.33),
        Figure(name="CPU, daemon ÷ shared Authlib client", value=ratio(AUTHLIB), goal=0.33),
        Figure(name="CPU, daemon ÷ sequential requests-oauthlib", value=ratio(SEQUENTIAL), goal=0.2),
        Figure(name="CPU, daemon ÷ floor", value=ratio(FLOOR), goal=4),
        Figure(
            name="throughput, daemon ÷ bare POST loop",
            value=statistics.median(a.rate / b.rate for a, b in pairs),
            aim=Aim.AT_LEAST,
            goal=0.7,
        ),
        Figure(
            name="new connections per refresh under load", value=statistics.median(a.dialled for a in ours), goal=0.01
        ),
        *_steady(steady),
        Figure(name="`refreshd --help`", value=results.help_seconds, unit="s", goal=0.6),
        Figure(name="`/metrics` with 3 clients", value=results.scrape_kib, unit="KiB", goal=64),
    ]


def _steady(runs: Sequence[Paced]) -> Sequence[Figure]:
    middle = {name: statistics.median(asdict(one)[name] for one in runs) for name in asdict(runs[0])}
    note = f"paced at {RATE}/s for {MEASURED_SECONDS:.0f} s"
    return [
        Figure(
            name="most refreshes due and not yet asked for",
            value=middle["behind"],
            goal=2 * RATE,
            note=f"{note}; two scan intervals' worth is no backlog",
        ),
        Figure(name="share of a core", value=middle["core"], goal=0.6, note=note),
        Figure(
            name="refresh over the provider's latency, p99",
            value=(middle["refresh_p99"] - LATENCY) * 1000,
            unit="ms",
            goal=50,
            note=f"{note}; refresh_duration_seconds",
        ),
        Figure(
            name="stored answer to visible in Redis, p99",
            value=middle["publish_p99"] * 1000,
            unit="ms",
            goal=20,
            note=f"{note}; publish_lag_seconds",
        ),
        Figure(
            name="provider's answer to read by a consumer, p99",
            value=middle["visible_p99"] * 1000,
            unit="ms",
            note=f"{note}; a consumer of the stream compares clocks: parsing, commit and publication are in it",
        ),
        Figure(name="new connections per refresh", value=middle["dialled"], note=note),
    ]


def _costs(stretches: Mapping[str, Sequence[Stretch]]) -> str:
    rows = []
    for name, runs in stretches.items():
        costs = [run.cpu for run in runs]
        rates = statistics.median(run.rate for run in runs)
        rows.append((name, f"{statistics.median(costs):.2f}", f"{min(costs):.2f} to {max(costs):.2f}", f"{rates:,.0f}"))
    return table(("subject", "CPU-s per 1,000 refreshes", "lowest to highest", "refreshes per second"), rows)
