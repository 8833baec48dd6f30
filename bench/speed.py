"""`python -m bench speed`: the daemon, its floor and its alternatives, in interleaved rounds of one run."""

import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.contenders import CONTENDERS, Contender, at_work
from bench.installation import COMMAND, daemon, install
from bench.paced import Paced, paced
from bench.processes import load_average
from bench.stretch import Stretch, measure
from bench.subjects.daemon import check_all_refreshed, saturated
from bench.token_provider import rate_borne, token_provider
from tests.components.redis_server import RedisServer

LATENCY = 0.05
STRETCH_SECONDS = 6.0
DAEMON = "refreshd run"
CREDENTIALS = 4000
WARM_UP = 500
MEASURED = 3000
LEAD_SECONDS = 12.0
HELP_RUNS = 5


@dataclass(slots=True)
class Results:
    """`stretches`: by name, one a round."""

    load: str
    provider_rate: float
    stretches: dict[str, list[Stretch]]
    paced: list[Paced]
    help_seconds: float
    scrape_kib: float


def run(rounds: int) -> Results:
    """Measure everything. Each round is a fresh provider, Redis, store and process for each subject."""
    with tempfile.TemporaryDirectory(prefix="refreshd-bench-") as name:
        directory = Path(name)
        results = Results(
            load=load_average(),
            provider_rate=rate_borne(directory),
            stretches=defaultdict(list),
            paced=[],
            help_seconds=_help_seconds(),
            scrape_kib=_scrape_kib(directory),
        )
        _say(f"the provider bears {results.provider_rate:,.0f} requests/s")
        for number in range(1, rounds + 1):
            for one in (None, *CONTENDERS):
                stretch = _stretch(directory / f"{number}-{one.module if one else 'daemon'}", one)
                title = one.name if one else DAEMON
                results.stretches[title].append(stretch)
                _say(f"round {number}: {title}: {stretch.cpu:.2f} CPU-s/1,000, {stretch.rate:,.0f}/s")
            results.paced.append(_paced(directory / f"{number}-paced"))
            _say(f"round {number}: paced: {_rounded(results.paced[-1])}")
    return results


def _stretch(directory: Path, one: Contender | None) -> Stretch:
    with RedisServer() as redis, token_provider(directory.parent, latency=LATENCY) as provider:
        if one is None:
            with saturated(directory, provider, redis.url, count=CREDENTIALS, in_seconds=LEAD_SECONDS) as (house, pid):
                stretch = measure(pid, provider, warm_up=WARM_UP, seconds=STRETCH_SECONDS, most=MEASURED)
                check_all_refreshed(house)
                return stretch
        with at_work(one, directory, provider, redis.url) as pid:
            return measure(pid, provider, warm_up=one.warm_up, seconds=STRETCH_SECONDS)


def _paced(directory: Path) -> Paced:
    with RedisServer() as redis, token_provider(directory.parent, latency=LATENCY) as provider:
        return paced(directory, provider, redis.url)


def _help_seconds() -> float:
    times = []
    for _ in range(HELP_RUNS):
        began = time.monotonic()
        subprocess.run([COMMAND, "--help"], check=True, capture_output=True)
        times.append(time.monotonic() - began)
    return statistics.median(times)


def _scrape_kib(directory: Path) -> float:
    with RedisServer() as redis, token_provider(directory) as provider:
        clients = dict.fromkeys(("one", "two", "three"), provider.url)
        installed = install(directory / "scrape", endpoints=clients, redis_url=redis.url)
        with daemon(installed):
            return len(installed.exposition()) / 1024


def _rounded(run: Paced) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in asdict(run).items())


def _say(text: str) -> None:
    print(text, flush=True)
