"""Refreshes a second of one and of several replicas on one PostgreSQL: `python -m bench.replicas`. The provider runs beside them.

The replicas stand still while everything is imported, due at once, and go on together: what is measured is the time from the first
claim to the last answer, as the attempt log has it. Rounds take turns, so that both see the same machine.
"""

import argparse
import resource
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import page
from bench.goals import Aim, Figure, table
from bench.processes import load_average
from refreshd.demo.grants import Rules
from refreshd.demo.provider import ProviderThread
from tests.components.postgres_server import PostgresServer
from tests.components.redis_server import RedisServer
from tests.programme.daemons.installation import Installation, MarkedLedger, names
from tests.programme.daemons.processes import ForkServer, Process

_SCHEDULER: dict[str, str | int] = {"scan_interval": "200ms", "concurrency": 64}
_READY_SECONDS = 30.0
_LONGEST = 120.0
_GOAL = 1.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measurement. `daemons`, `provider`: CPU milliseconds a refresh; `busy`: how many cores the whole machine used."""

    replicas: int
    rate: float
    daemons: float
    provider: float
    busy: float

    def row(self) -> tuple[str, ...]:
        figures = (f"{self.rate:.0f}", f"{self.daemons:.2f}", f"{self.provider:.2f}", f"{self.busy:.2f}")
        return (str(self.replicas), *figures)


def main() -> None:
    """Measure, print, and write the section of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--credentials", type=int, default=4000)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--unrecorded", action="store_true", help="print only")
    options = parser.parse_args()
    load, runs = load_average(), []
    with PostgresServer({"fsync": "on"}) as server, RedisServer() as redis, ForkServer() as fork:
        time.sleep(8)  # in the first seconds of a server's life nothing is claimed
        for replicas in (1, options.replicas) * options.rounds:
            runs.append(_measure(server, redis, fork, replicas=replicas, credentials=options.credentials))
            print(runs[-1], flush=True)
    command = f"make bench-replicas ROUNDS={options.rounds} N={options.credentials} REPLICAS={options.replicas}"
    text = report(runs, command, load=load)
    print(text)
    if not options.unrecorded:
        page.write("Replicas", text)


def report(runs: Sequence[Run], command: str, *, load: str) -> str:
    """The section of the page. The last column is the profile: with every core busy the machine is the limit."""
    many = max(run.replicas for run in runs)
    one, several = (median(run.rate for run in runs if run.replicas == count) for count in (1, many))
    about = (
        "Replicas, provider, PostgreSQL (fsync on) and Redis share the machine. Every credential is due at once; the rate is that "
        "from the first claim to the last answer. Where all cores are in use, the machine is the limit."
    )
    head = ("replicas", "refreshes/s", "ms CPU a refresh, replicas", "ms CPU a refresh, provider", "cores in use")
    figures = [
        Figure(name="refreshes a second of one replica", value=one, note="median"),
        Figure(name=f"refreshes a second of {many}", value=several, note="median"),
        Figure(name=f"{many} replicas ÷ one", value=several / one, aim=Aim.AT_LEAST, goal=_GOAL),
    ]
    tables = [table(head, [run.row() for run in runs])]
    return page.section("Replicas", command=command, load=load, about=[about], figures=figures, tables=tables)


def _measure(server: PostgresServer, redis: RedisServer, fork: ForkServer, *, replicas: int, credentials: int) -> Run:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        ProviderThread(MarkedLedger(Rules(access_lifetime=3600))) as provider,
    ):
        redis.client().flushall()
        url = server.database()
        installation = Installation(
            directory=Path(directory),
            server=fork,
            provider=provider,
            redis_url=redis.url,
            scheduler=_SCHEDULER,
            lifetime=3600.0,
            url=url,
            in_flight=64,
            rate=100_000,
        )
        processes = [installation.daemon() for _ in range(replicas)]
        for one in processes:
            one.wait_for("daemon.ready", _READY_SECONDS)
        time.sleep(3)  # until they know of each other
        for one in processes:
            one.send(signal.SIGSTOP)
        installation.log_in(names(credentials), due=True)
        used, own, busy, began = sum(map(_cpu, processes)), _own_cpu(), _busy(), time.monotonic()
        for one in processes:
            one.send(signal.SIGCONT)
        took = _finished(server, url, provider, credentials)
        used, own = sum(map(_cpu, processes)) - used, _own_cpu() - own
        busy = (_busy() - busy) / (time.monotonic() - began)
        for one in processes:
            one.end()
    a_refresh = 1000 / credentials
    return Run(
        replicas=replicas, rate=credentials / took, daemons=a_refresh * used, provider=a_refresh * own, busy=busy
    )


def _finished(server: PostgresServer, url: str, provider: ProviderThread, credentials: int) -> float:
    """Wait until all are refreshed; how long that took. Raises RuntimeError when it takes too long."""
    deadline = time.monotonic() + _LONGEST
    query = "SELECT count(*), max(ended_at) - min(started_at) FROM attempt_log WHERE outcome = 'refreshed'"
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if provider.requests() < credentials:
            continue  # a look at the database costs a session
        [(count, took)] = server.ask(query, database=url.rpartition("/")[2])
        if int(str(count)) >= credentials:
            return float(str(took)) / 1e6
    raise RuntimeError(f"not all of {credentials} credentials were refreshed within {_LONGEST:g} s")


def _own_cpu() -> float:
    """Of this process, the provider's."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _busy() -> float:
    """Seconds that all cores together have worked, since the machine started."""
    user, nice, system, _idle, _wait, irq, soft, *_ = map(int, Path("/proc/stat").read_text().split(None, 9)[1:9])
    return (user + nice + system + irq + soft) / 100


def _cpu(process: Process) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    main()
