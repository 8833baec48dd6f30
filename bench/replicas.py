"""Refreshes a second of one and of several replicas on one PostgreSQL: `python -m bench.replicas`. The provider runs beside them.

Every credential is due at the start; what is measured is the time from the first request to the last stored answer.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from refreshd.demo.grants import Rules
from refreshd.demo.provider import ProviderThread
from tests.components.postgres_server import PostgresServer
from tests.components.redis_server import RedisServer
from tests.programme.daemons.installation import Installation, MarkedLedger, names
from tests.programme.daemons.processes import ForkServer, Process

_SCHEDULER: dict[str, str | int] = {"scan_interval": "200ms", "concurrency": 64}
_READY_SECONDS = 30.0
_LONGEST = 120.0


def main() -> None:
    """Print one line a number of replicas."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--credentials", type=int, default=4000)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    with PostgresServer({"fsync": "on"}) as server, RedisServer() as redis, ForkServer() as fork:
        time.sleep(8)  # in the first seconds of a server's life nothing is claimed
        for replicas in options.replicas:
            rate, cpu = _measure(server, redis, fork, replicas=replicas, credentials=options.credentials)
            print(f"{replicas} replicas: {rate:.0f} refreshes/s, {cpu}", flush=True)


def _measure(
    server: PostgresServer, redis: RedisServer, fork: ForkServer, *, replicas: int, credentials: int
) -> tuple[float, str]:
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
        before = [_cpu(one) for one in processes]
        own = resource.getrusage(resource.RUSAGE_SELF)
        installation.log_in(names(credentials), due=True)
        began = time.monotonic()
        while _left(server, url) and time.monotonic() - began < _LONGEST:
            time.sleep(0.05)
        took = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
        used = [_cpu(one) - earlier for one, earlier in zip(processes, before, strict=True)]
        for one in processes:
            one.end()
        provider_cpu = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
        shares = ", ".join(f"{1000 * one / credentials:.2f}" for one in used)
        return credentials / took, (
            f"{took:.1f} s; CPU-ms a refresh: daemons {shares}, provider {1000 * provider_cpu / credentials:.2f}"
        )


def _left(server: PostgresServer, url: str) -> bool:
    rows = server.ask("SELECT 1 FROM credential WHERE generation = 1 LIMIT 1", database=url.rpartition("/")[2])
    return bool(rows)


def _cpu(process: Process) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    main()
