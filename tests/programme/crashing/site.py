"""One installation that is killed again and again, and what is looked at after each death and at its end."""

import math
import re
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Self

import redis

from refreshd.demo.dialects import Verdict
from refreshd.demo.grants import Grace
from refreshd.demo.provider import ProviderThread
from tests.programme.crashing.judge import Death, unexplained_losses, unexplained_reuses
from tests.programme.crashing.plan import SITES, Case, Kind, rules_of
from tests.programme.crashing.traps import Trap, TrappedLedger
from tests.programme.daemons.asking import metric, until, url_of
from tests.programme.daemons.findings import Findings
from tests.programme.daemons.installation import BASIC, MARK, PKCE, Installation, names, redis_client, shown
from tests.programme.daemons.lateness import Heartbeat
from tests.programme.daemons.processes import ForkServer, Process
from tests.programme.daemons.store_view import Row, integrity

LAST_SCAN = "refreshd_scan_last_success_timestamp_seconds"
LOGINS = 60
LOST_BEFORE_NEW_LOGINS = 6
SETTLE_DELAY = timedelta(seconds=1)
START_SECONDS = 20.0
SERVED_SECONDS = 5.0
NOT_REACHED_SECONDS = 4.0
MOST_OF_THE_GRACE = 12.0  # seconds: a slow life more, and there is still time
CALM_SECONDS = 40.0
INTEGRITY_EVERY = 25
SHOWN_LONGER = 2.0  # Redis shows expiry without its fraction, and counts a life from when it is written
_STOP_SECONDS = 15.0


class Site:
    """A context manager: a provider, an installation and its logins. `number` chooses the provider's grace."""

    def __init__(self, number: int, directory: Path, server: ForkServer, redis_url: str, findings: Findings) -> None:
        self.grace = SITES[number]
        self._directory = directory
        self._server = server
        self._redis_url = redis_url
        self._findings = findings
        self._ledger = TrappedLedger(rules_of(number))
        self._provider = ProviderThread(self._ledger)
        self._redis: redis.Redis = redis_client(redis_url)
        self._deaths: list[Death] = []
        self._open: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._provider.__enter__()
        self._heartbeat = Heartbeat(self._provider)
        self._redis.flushdb()
        self._installation = Installation(
            directory=self._directory,
            server=self._server,
            provider=self._provider,
            redis_url=self._redis_url,
            grace="" if self.grace is Grace.NONE else "30s",
        )
        self._installation.log_in(names(LOGINS))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._redis.close()
        self._provider.__exit__(None, None, None)

    def strike(self, case: Case) -> None:
        """One life and one death."""
        self._log_in_again(LOST_BEFORE_NEW_LOGINS)
        self._spare_what_waits()
        if case.weather is not None:
            self._provider.storm(case.weather)
        process = self._installation.daemon(environ=case.environ, installed=case.installed)
        if case.kind is Kind.PROVIDER:
            self._ledger.trap = Trap(case.moment, case.turn, process.kill)
        try:
            self._live(process, case)
        finally:
            process.end()
            at = time.time()
            self._ledger.trap = None
            self._provider.clear_faults()
        self._look_at_the_dead(process, case, at)

    def judge(self) -> None:
        """Let it run in peace until nothing is open, then hold the ledger against every death."""
        reuses, families = self._provider.reuses(), list(self._provider.families().values())
        process = self._installation.daemon()
        try:
            self._calm(process)
        finally:
            process.end()
        self._inspect_log(process)
        reuses, families = self._provider.reuses(), list(self._provider.families().values())
        lost = [family for family in families if not family.alive]
        settle = SETTLE_DELAY.total_seconds() if self.grace is Grace.NONE else 0.0
        texts = unexplained_losses(families, reuses)
        texts += unexplained_reuses(
            reuses, self._installation.logins, self._deaths, settle_delay=settle, lag=self._heartbeat.lag()
        )
        if self.grace is not Grace.NONE:
            texts += [f"{family.id} lost in spite of a grace of 30 s" for family in lost]
        self._violate(*texts)
        self._count("tokens presented twice", len(reuses))
        self._count("logins lost in the window", len(lost))
        self._count("logins", len(families))
        odd = {verdict: n for verdict, n in self._provider.verdicts().items() if verdict in _NEVER}
        self._violate(*(f"the provider answered {verdict} {n} times" for verdict, n in odd.items()))

    def _spare_what_waits(self) -> None:
        """A life without a death, when the provider's grace would end before a doubt was ever asked about.

        No daemon can help whose every life is too short for that, and on a slow machine thirty seconds are few lives.
        """
        if self.grace is Grace.NONE or time.time() - min(self._open.values(), default=math.inf) < MOST_OF_THE_GRACE:
            return
        self._count("lives without a death")
        process = self._installation.daemon()
        try:
            process.wait_for("daemon.ready", START_SECONDS)
            until(self._nothing_waits, START_SECONDS)
            process.send(signal.SIGTERM)
            process.ended(_STOP_SECONDS)
        finally:
            process.end()
        self._inspect_log(process)
        self._open.clear()

    def _nothing_waits(self) -> bool:
        """Whether everything that was open at the last death has been settled since."""
        rows = self._installation.rows()
        self._open = {name: since for name, since in self._open.items() if not rows[name].settled}
        return not self._open

    def _live(self, process: Process, case: Case) -> None:
        """Until the instant of its death, or until it died by itself."""
        if case.inspected:
            self._check_start(process)
        if case.kind is not Kind.RANDOM:
            process.wait_for("daemon.ready", START_SECONDS)
            name = str(case.step) if case.kind is Kind.STEP else str(case.moment)
            self._count(f"{case.kind} kills" if process.ended(NOT_REACHED_SECONDS) else "random kills")
            self._count(f"at {name}", int(process.code is not None))
            return
        self._count("random kills")
        if case.after_ready or case.inspected:
            process.wait_for("daemon.ready", START_SECONDS)
            process.ended(case.delay)
        else:
            process.ended(case.delay * (2 if case.installed else 0.5))
        self._count("kills before it was ready", int(not process.said("daemon.ready")))

    def _check_start(self, process: Process) -> None:
        """Ready, and everything that was due at the start taken up and answered, all within five seconds.

        Beside other runs these seconds are longer, by the daemon's own slowdown.
        """
        due_at = process.began
        if not process.wait_for("daemon.ready", START_SECONDS):
            self._violate(f"not ready within {START_SECONDS} s: {_tail(process)}")
            return
        url, deadline = url_of(process), time.time() + START_SECONDS
        until(lambda: metric(url, LAST_SCAN) > due_at, deadline - time.time())
        scanned, limit = time.time() - due_at, SERVED_SECONDS * process.slowdown()
        if scanned > limit:
            self._violate(f"no scan within {scanned:.1f} s of a restart, limit {limit:.1f} s: {_tail(process)}")
        while (left := self._unserved(due_at)) and time.time() < deadline and not process.ended(0.02):
            pass
        took, limit = time.time() - due_at, SERVED_SECONDS * process.slowdown()
        self._findings.slowest = max(self._findings.slowest, took)
        self._count("restarts timed")
        self._count("restarts slowed by other runs", int(SERVED_SECONDS < took <= limit))
        if left or took > limit:
            first = next(iter(left), "")
            what = f"served only {took:.1f} s after a restart, limit {limit:.1f} s"
            self._violate(f"{what}: {first or 'all'}; {_about(process, first)}")

    def _unserved(self, due_at: float) -> list[str]:
        """Due before the start and still waiting, or living and not readable in Redis."""
        rows = self._installation.rows()
        late = [f"due: {row}" for row in rows.values() if row.due(due_at)]
        late += [f"open: {row}" for row in rows.values() if row.attempt_started_at and row.attempt_started_at < due_at]
        return late or [f"not shown: {rows[name]}" for name in self._hidden(rows)]

    def _hidden(self, rows: dict[str, Row]) -> list[str]:
        alive = time.time() + 0.2
        wanted = [n for n, row in rows.items() if row.expires_at and row.expires_at > alive and row.health == "active"]
        return sorted(set(wanted) - shown(self._redis, wanted).keys())

    def _look_at_the_dead(self, process: Process, case: Case, at: float) -> None:
        rows = self._installation.rows_after_death()
        attempts = {n: row.attempt_started_at for n, row in rows.items() if row.attempt_started_at is not None}
        self._deaths.append(Death(case=case.index, at=at, open_attempts=attempts))
        self._open = {
            name: self._open.get(name, row.attempt_started_at or at) for name, row in rows.items() if not row.settled
        }
        self._count("kills")
        self._count("kills of the installed command", int(case.installed))
        self._count("kills with attempts open", int(bool(attempts)))
        self._inspect_log(process, rows)
        self._inspect_redis(rows, case)
        if len(self._deaths) % INTEGRITY_EVERY == 0:
            verdict = integrity(self._installation.database, self._directory / "copy")
            self._count("stores checked")
            self._violate(*([f"case {case.index}: integrity_check says {verdict}"] if verdict != "ok" else []))

    def _inspect_log(self, process: Process, rows: dict[str, Row] | None = None) -> None:
        """No planted secret is in it, and what it calls refreshed is stored. The log is removed."""
        if MARK.encode() in process.text:
            self._violate(f"a token or secret stands in {process.log.name}")
        for entry in process.events("daemon.open_attempts_found"):
            self._count("attempts in doubt", int(entry["count"]))
        for entry in process.events("credential.refreshed"):
            self._count("refreshes")
            self._count("doubts recovered", int(entry["doubt_resolved"]))
            if rows and rows[entry["id"]].generation < entry["generation"]:
                self._violate(f"{entry['id']}: generation {entry['generation']} was told of and is not stored")
        for entry in process.events("daemon.task_crashed", "credential.held", "redis.revision_ahead_of_store"):
            self._violate(f"{process.log.name} says {entry}")
        process.log.unlink(missing_ok=True)

    def _inspect_redis(self, rows: dict[str, Row], case: Case) -> None:
        """Nothing expired is shown, and nothing that the store does not have (commit before publish)."""
        seen_at = time.time()
        for name, fields in shown(self._redis, list(rows)).items():
            if int(fields["expires_at"]) + SHOWN_LONGER < seen_at:
                self._violate(f"case {case.index}: {name} is shown {seen_at - int(fields['expires_at']):.1f} s expired")
            if int(fields["generation"]) > rows[name].generation:
                self._violate(f"case {case.index}: {name} is shown ahead of the store")

    def _log_in_again(self, least: int) -> None:
        """A person logs in for each lost login, once there are that many."""
        lost = sorted(self._installation.families.keys() - self._installation.living())
        if len(lost) >= least:
            self._installation.log_in(lost)

    def _calm(self, process: Process) -> None:
        """Until each login was once seen as it must be in the end; all at the same instant would be asking for luck."""
        deadline = time.time() + CALM_SECONDS
        waiting = self._uneasy()
        while waiting and time.time() < deadline and not process.ended(0.1):
            now = self._uneasy()
            waiting = {name: now[name] for name in waiting if name in now}
        self._violate(*(f"at the end: {fault}; {_about(process, fault)}" for fault in waiting.values()))

    def _uneasy(self) -> dict[str, str]:
        """What is not as it must be, by credential: every living login fresh and readable, every lost one told."""
        rows, living = self._installation.rows(), self._installation.living()
        tokens = shown(self._redis, sorted(living))
        accepted = self._installation.accepted(tokens)
        faults = {}
        for name, row in rows.items():
            if not row.settled:
                faults[name] = f"still open: {row}"
            elif row.well != (name in living):
                faults[name] = f"{'lives' if name in living else 'is lost'}, and the store says {row}"
            elif name in living and name not in accepted:
                faults[name] = f"lives and is {'shown with a dead token' if name in tokens else 'not shown'}: {row}"
        return faults

    def _count(self, name: str, number: int = 1) -> None:
        self._findings.counts[name] += number

    def _violate(self, *texts: str) -> None:
        self._findings.violations += [f"{self._directory.name} ({self.grace}): {text}" for text in texts]


_NEVER = (Verdict.UNKNOWN, Verdict.FOREIGN_CLIENT, Verdict.EXPIRED, Verdict.REVOKED, Verdict.KEPT)


def _about(process: Process, fault: str) -> str:
    """The last lines of the log that are about the credential that the fault names."""
    names = re.findall(rf"\b(?:{BASIC}|{PKCE})/\d+", fault)
    lines = process.text.decode(errors="replace").splitlines()
    return " | ".join([line for line in lines if names and f'"{names[0]}"' in line][-6:])


def _tail(process: Process) -> str:
    return process.text.decode(errors="replace")[-1000:]
