"""One installation that is asked to stop again and again, and what must be true after each stop."""

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import redis

from refreshd.demo.dialects import Verdict
from refreshd.demo.faults import Latency
from refreshd.demo.grants import Rules
from refreshd.demo.provider import ProviderThread
from tests.programme.daemons.findings import Findings
from tests.programme.daemons.installation import MARK, Installation, MarkedLedger, names, redis_client, shown
from tests.programme.daemons.processes import ForkServer, Process
from tests.programme.stopping.plan import Case, When

LIFETIME = 120.0
DRAIN_SECONDS = 20.0
MARGIN_SECONDS = 3.0
START_SECONDS = 20.0
FIRST_REQUEST_SECONDS = 3.0
SCHEDULER: Mapping[str, str | int] = {
    "refresh_before_expiry": "20s",
    "request_timeout": "12s",
    "commit_timeout": "5s",
    "drain_timeout": f"{DRAIN_SECONDS:g}s",
    "concurrency": 32,
}
_FIRST_LINE = "config.warning"  # as the configuration above has a warning


class Site:
    """A context manager: a provider, an installation, and fresh logins for each stop, all due at once."""

    def __init__(self, directory: Path, server: ForkServer, redis_url: str, findings: Findings) -> None:
        self._directory = directory
        self._server = server
        self._redis_url = redis_url
        self._findings = findings
        self._provider = ProviderThread(MarkedLedger(Rules(access_lifetime=LIFETIME)))
        self._redis: redis.Redis = redis_client(redis_url)

    def __enter__(self) -> Self:
        self._provider.__enter__()
        self._redis.flushdb()
        self._installation = Installation(
            directory=self._directory,
            server=self._server,
            provider=self._provider,
            redis_url=self._redis_url,
            scheduler=SCHEDULER,
            lifetime=LIFETIME,
        )
        return self

    def __exit__(self, *_exc: object) -> None:
        self._redis.close()
        self._provider.__exit__(None, None, None)

    def stop(self, case: Case) -> None:
        """One life and one orderly end."""
        self._installation.log_in(names(case.logins), due=True)
        self._provider.clear_faults()
        if case.latency:
            self._provider.storm(Latency(low=0.0, high=case.latency), seconds=3600)
        before = self._provider.requests()
        process = self._installation.daemon(installed=case.installed)
        try:
            self._wait(process, case, before)
            self._signal(process, case)
        finally:
            process.end()
        self._look_back(process, case)

    def judge(self) -> None:
        """At its end nothing was ever presented twice, and every login lives."""
        reuses, dead = self._provider.reuses(), [one.id for one in self._provider.families().values() if not one.alive]
        self._violate(*(f"{token.family} was presented twice" for token in reuses))
        self._violate(*(f"{family} is lost" for family in dead))
        odd = {str(verdict): n for verdict, n in self._provider.verdicts().items() if verdict is not Verdict.ROTATED}
        self._violate(*([f"the provider also answered {odd}"] if odd else []))
        self._count("answers given", self._provider.verdicts()[Verdict.ROTATED])

    def _wait(self, process: Process, case: Case, before: int) -> None:
        if case.when is not When.STARTING:
            process.wait_for("daemon.ready", START_SECONDS)
        elif case.spoke:
            process.wait_for(_FIRST_LINE, START_SECONDS)
        if case.when is When.IN_FLIGHT:
            deadline = time.monotonic() + FIRST_REQUEST_SECONDS
            while self._provider.requests() == before and time.monotonic() < deadline:
                time.sleep(0.01)
        process.ended(case.delay)

    def _signal(self, process: Process, case: Case) -> None:
        """The first signal is SIGTERM, as from any service manager; further ones are what impatient people send."""
        began = time.monotonic()
        process.send(signal.SIGTERM)
        for gap, number in case.again:
            process.ended(gap)
            process.send(number)
        ended = process.ended(DRAIN_SECONDS + MARGIN_SECONDS - (time.monotonic() - began))
        took = time.monotonic() - began
        self._findings.slowest = max(self._findings.slowest, took)
        self._count("stops")
        self._count("stops during the start", int(case.when is When.STARTING))
        self._count("signals repeated", len(case.again))
        if not ended:
            self._violate(f"case {case.index}: still there {took:.1f} s after SIGTERM: {process.tail}")
        elif process.code != 0 and not self._too_early(process):
            self._violate(f"case {case.index}: exit code {process.code}: {process.tail}")

    def _too_early(self, process: Process) -> bool:
        """Python itself was still starting, so the signal did what it does to any program; nothing was under way."""
        early = process.code == -signal.SIGTERM and not process.text
        self._count("stops before its own first line", int(early))
        return early

    def _look_back(self, process: Process, case: Case) -> None:
        """Every answer that was given is stored and published, and nothing is left open."""
        self._count_drain(process)
        rows = self._installation.rows()
        open_ = [name for name, row in rows.items() if row.owner is not None or row.in_doubt]
        self._violate(*(f"case {case.index}: {name} is left open" for name in open_))
        given = self._installation.given()
        tokens = shown(self._redis, sorted(given))
        for name, access_token in given.items():
            if tokens.get(name, {}).get("access_token") != access_token:
                there = "an older one" if name in tokens else "none"
                self._violate(f"case {case.index}: the answer given to {name} is not published, {there} is")
        if MARK.encode() in process.text:
            self._violate(f"case {case.index}: a token or secret stands in the log")
        for entry in process.events("daemon.open_attempts_found", "daemon.task_crashed", "store.unavailable"):
            self._violate(f"case {case.index}: {entry}")
        process.log.unlink(missing_ok=True)

    def _count_drain(self, process: Process) -> None:
        events = process.events("daemon.draining", "credential.refreshed", "credential.attempt_released")
        drained = False
        for entry in events:
            drained = drained or entry["event"] == "daemon.draining"
            self._count_one(entry, drained=drained)

    def _count_one(self, entry: dict[str, Any], *, drained: bool) -> None:
        match entry["event"]:
            case "daemon.draining":
                self._count("stops with requests in flight", int(entry["in_flight"] > 0))
                self._count("requests in flight at a stop", entry["in_flight"])
            case "credential.refreshed":
                self._count("answers that arrived during the drain", int(drained))
            case _:
                self._count("attempts given back unsent")

    def _count(self, name: str, number: int = 1) -> None:
        self._findings.counts[name] += number

    def _violate(self, *texts: str) -> None:
        self._findings.violations += [f"{self._directory.name}: {text}" for text in texts]
