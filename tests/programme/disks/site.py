"""One installation on a disk that breaks while answers are on their way, and what must hold until it is mended and after."""

import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import redis

from refreshd.demo.dialects import Verdict
from refreshd.demo.faults import Latency
from refreshd.demo.grants import Rules
from refreshd.demo.provider import ProviderThread
from tests.programme.daemons.asking import metric, status, until, url_of
from tests.programme.daemons.findings import Findings
from tests.programme.daemons.installation import MARK, Installation, MarkedLedger, names, redis_client, shown
from tests.programme.daemons.processes import ForkServer, Process
from tests.programme.disks.disk import Disk
from tests.programme.disks.plan import Case, Trouble

UNPERSISTED = "refreshd_unpersisted_responses"
LIFETIME = 120.0
SCHEDULER: Mapping[str, str | int] = {
    "refresh_before_expiry": "20s",
    "request_timeout": "3s",
    "commit_timeout": "1s",
    "drain_timeout": "5s",
    "concurrency": 12,
}
START_SECONDS = 20.0
NOTICED_SECONDS = 6.0
MENDED_SECONDS = 15.0
STOP_SECONDS = 20.0


class Site:
    """A context manager: a disk, an installation whose store lies on it, and fresh logins for each case."""

    def __init__(self, directory: Path, server: ForkServer, redis_url: str, findings: Findings, *, root: bool) -> None:
        self._directory = directory
        self._server = server
        self._redis_url = redis_url
        self._findings = findings
        self._disk = Disk(directory, root=root)
        self._provider = ProviderThread(MarkedLedger(Rules(access_lifetime=LIFETIME)))
        self._redis: redis.Redis = redis_client(redis_url)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._redis.close)
            stack.enter_context(self._provider)
            stack.enter_context(self._disk)
            self._redis.flushdb()
            self._installation = Installation(
                directory=self._directory,
                server=self._server,
                provider=self._provider,
                redis_url=self._redis_url,
                scheduler=SCHEDULER,
                lifetime=LIFETIME,
                store=self._disk.path,
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def suffer(self, case: Case) -> None:
        """One life on a disk that breaks once."""
        self._provider.clear_faults()
        self._installation.log_in(names(case.logins), due=True)
        self._provider.storm(Latency(low=case.latency, high=case.latency), seconds=3600)
        before = self._provider.requests()
        logs = self._disk.path if case.trouble is Trouble.FULL_WITH_LOG else None
        process = self._installation.daemon(logs=logs)
        try:
            if process.wait_for("daemon.ready", START_SECONDS):
                url = url_of(process)
                until(lambda: self._provider.requests() > before, START_SECONDS)
                with self._disk.broken(case.trouble, self._installation.database, process.log):
                    self._watch(process, case, url)
                self._mended(process, case, url)
            else:
                self._violate(f"case {case.index}: not ready: {process.tail}")
        finally:
            process.end()
        self._look_back(process, case)

    def judge(self) -> None:
        """At its end nothing was ever presented twice, and every login lives."""
        self._violate(*(f"{token.family} was presented twice" for token in self._provider.reuses()))
        self._violate(*(f"{one.id} is lost" for one in self._provider.families().values() if not one.alive))
        odd = {str(verdict): n for verdict, n in self._provider.verdicts().items() if verdict is not Verdict.ROTATED}
        self._violate(*([f"the provider also answered {odd}"] if odd else []))
        self._count("answers given", self._provider.verdicts()[Verdict.ROTATED])

    def _watch(self, process: Process, case: Case, url: str) -> None:
        """The answers arrive now, and cannot be stored."""
        self._count("troubles")
        self._count(f"disk {case.trouble}")
        if case.trouble is Trouble.HANGING:  # no call returns an error, so there is nothing to count yet
            process.ended(case.latency + 0.3)
        elif not until(lambda: metric(url, UNPERSISTED) > 0, case.latency + NOTICED_SECONDS):
            self._violate(f"case {case.index} (disk {case.trouble}): no answer was ever counted as unpersisted")
        else:
            self._count("answers kept in memory", int(metric(url, UNPERSISTED)))
        asked = self._provider.requests()
        if case.stopped:
            self._count("stops meanwhile")
            process.send(signal.SIGTERM)
        if process.ended(case.seconds):
            self._violate(f"case {case.index}: it ended with {process.code} before its answers were stored")
        if case.trouble is not Trouble.HANGING and (ready := status(url + "/readyz")) != 503:
            self._violate(f"case {case.index} (disk {case.trouble}): /readyz says {ready}")
        if self._provider.requests() != asked:
            self._violate(f"case {case.index} (disk {case.trouble}): asked for more while answers were not stored")

    def _mended(self, process: Process, case: Case, url: str) -> None:
        """Everything is stored and shown by itself; or, after a SIGTERM, it ends now and not earlier."""
        began = time.monotonic()
        if not case.stopped:
            good = until(lambda: self._all_shown(case) and not metric(url, UNPERSISTED), MENDED_SECONDS)
            if not good:
                self._violate(f"case {case.index} (disk {case.trouble}): not all shown {MENDED_SECONDS:.0f} s later")
            elif not until(lambda: status(url + "/readyz") == 200, 2.0):
                self._violate(f"case {case.index} (disk {case.trouble}): not ready again")
            self._findings.slowest = max(self._findings.slowest, time.monotonic() - began)
            process.send(signal.SIGTERM)
        if not process.ended(STOP_SECONDS) or process.code != 0:
            self._violate(f"case {case.index} (disk {case.trouble}): ended with {process.code}: {process.tail}")

    def _all_shown(self, case: Case) -> bool:
        given = self._installation.given()
        tokens = shown(self._redis, sorted(given))
        answered = given.keys() >= set(names(case.logins))
        return answered and all(tokens.get(name, {}).get("access_token") == token for name, token in given.items())

    def _look_back(self, process: Process, case: Case) -> None:
        """Every answer that was given is stored and published, nothing is open, nothing was in doubt."""
        where = f"case {case.index} (disk {case.trouble}{', stopped' if case.stopped else ''})"
        given = self._installation.given()
        tokens = shown(self._redis, sorted(given))
        for name, token in given.items():
            if tokens.get(name, {}).get("access_token") != token:
                self._violate(f"{where}: the answer given to {name} is not published")
        for name, row in self._installation.rows().items():
            if row.owner is not None or row.in_doubt:
                self._violate(f"{where}: {name} is left open")
        for entry in process.events("daemon.open_attempts_found", "daemon.task_crashed", "credential.held"):
            self._violate(f"{where}: {entry}")
        if MARK.encode() in process.text:
            self._violate(f"{where}: a token or secret stands in the log")
        process.log.unlink(missing_ok=True)

    def _count(self, name: str, number: int = 1) -> None:
        self._findings.counts[name] += number

    def _violate(self, *texts: str) -> None:
        self._findings.violations += [f"{self._directory.name}: {text}" for text in texts]
