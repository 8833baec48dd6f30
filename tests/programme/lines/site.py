"""One daemon between two lines that break and heal, and what must hold meanwhile and afterwards."""

import signal
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import redis

from refreshd.demo.dialects import Verdict
from refreshd.demo.grants import Grace
from refreshd.demo.provider import ProviderThread
from tests.components.redis_server import RedisServer
from tests.programme.daemons.asking import status, url_of
from tests.programme.daemons.installation import MARK, Installation, MarkedLedger, names, redis_client, shown
from tests.programme.daemons.processes import ForkServer
from tests.programme.daemons.store_view import attempts
from tests.programme.lines.judge import Spell, doubts_out_of_nothing, unexplained_reuses, while_down
from tests.programme.lines.line import BreakableLine
from tests.programme.lines.plan import SITES, Case, Link, rules_of

LOGINS = 24
RECOVERY_SECONDS = 30.0
START_SECONDS = 20.0
LIVE_SECONDS = 2.0
OVERDUE_SECONDS = 3.0  # one of them may pass while Redis is asked for generations (R11)
BACKLOG_SECONDS = 0.5
SHOWN_LONGER = 2.0  # Redis shows expiry without its fraction, and counts a life from when it is written
_LOOK_EVERY = 0.2
_STOP_SECONDS = 20.0


@dataclass(slots=True)
class Findings:
    """What one thread saw. `slowest`: seconds from healing until all was well, by line."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    slowest: dict[Link, float] = field(default_factory=lambda: dict.fromkeys(Link, 0.0))


class Site:
    """A context manager: provider, Redis database and daemon, with a line that can break on each side."""

    def __init__(
        self, number: int, directory: Path, server: ForkServer, redis_server: RedisServer, findings: Findings
    ) -> None:
        self.grace = SITES[number]
        self._number = number
        self._directory = directory
        self._server = server
        self._findings = findings
        self._stack = ExitStack()
        self._provider = ProviderThread(MarkedLedger(rules_of(number)))
        self._redis_port = redis_server.port
        self._redis: redis.Redis = redis_client(f"redis://127.0.0.1:{self._redis_port}/{number}")
        self._spells: list[Spell] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._redis.close)
            stack.enter_context(self._provider)
            provider_port = urlsplit(self._provider.url).port or 0
            self._lines = {
                Link.PROVIDER: stack.enter_context(BreakableLine("127.0.0.1", provider_port)),
                Link.REDIS: stack.enter_context(BreakableLine("127.0.0.1", self._redis_port)),
            }
            self._redis.flushdb()
            self._installation = self._installed()
            self._installation.log_in(names(LOGINS))
            self._process = self._installation.daemon()
            stack.callback(self._process.end)
            self._stack = stack.pop_all()
        if not self._process.wait_for("daemon.ready", START_SECONDS):
            raise RuntimeError(f"not ready: {self._process.tail}")
        self._url = url_of(self._process)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def suffer(self, case: Case) -> None:
        """One trouble, its end, and the recovery."""
        before = self._provider.verdicts()[Verdict.ROTATED]
        line = self._lines[case.link]
        began = time.time()
        line.start(case)
        try:
            self._watch(case, began)
        finally:
            line.heal()
        healed = time.time()
        self._spells.append(Spell(link=case.link, trouble=case.trouble, began=began, healed=healed))
        self._count("troubles")
        self._count(f"{case.link}: {case.trouble}")
        if case.link is Link.REDIS:
            self._count("refreshes while Redis was in trouble", self._provider.verdicts()[Verdict.ROTATED] - before)
        self._recover(case, healed)

    def judge(self) -> None:
        """Stop in peace, then hold ledger and attempt log against the times of trouble."""
        self._stop()
        log, reuses = attempts(self._installation.database), self._provider.reuses()
        families = self._provider.families().values()
        lost = [family for family in families if not family.alive]
        self._violate(*unexplained_reuses(reuses, self._installation.logins, log, self._spells))
        self._violate(*doubts_out_of_nothing(log, self._spells))
        down = while_down(log, self._spells)
        self._count("attempts while nobody listened", len(down))
        odd = [entry for entry in down if (entry.outcome, entry.phase) != ("deferred", "unsent")]
        self._violate(*(f"nobody listened, and yet: {entry}" for entry in odd))
        self._violate(*(f"{one.id} died of {one.died_because}" for one in lost if one.died_because != Verdict.REUSED))
        if self.grace is not Grace.NONE:
            self._violate(*(f"{family.id} lost in spite of a grace of 30 s" for family in lost))
        self._count("answers lost on the line", sum(entry.outcome == "uncertain" for entry in log))
        self._count("logins lost with an answer", len(lost))
        self._count("tokens presented twice", len(reuses))
        self._count("refreshes", self._provider.verdicts()[Verdict.ROTATED])
        if MARK.encode() in self._process.text:
            self._violate("a token or secret stands in the log")

    def _installed(self) -> Installation:
        return Installation(
            directory=self._directory,
            server=self._server,
            provider=self._provider,
            redis_url=f"redis://127.0.0.1:{self._lines[Link.REDIS].port}/{self._number}",
            endpoint=f"http://127.0.0.1:{self._lines[Link.PROVIDER].port}/oauth2/token",
            grace="" if self.grace is Grace.NONE else "30s",
        )

    def _watch(self, case: Case, began: float) -> None:
        """Meanwhile the loop is live, nothing expired is shown, and a Redis that fails holds no refresh up."""
        while True:
            self._look_live(case)
            self._look_stale(case)
            if case.link is Link.REDIS:
                late = time.time() - OVERDUE_SECONDS * self._process.slowdown()
                waiting = [name for name, row in self._installation.rows().items() if row.due(late) and row.well]
                self._violate(*(f"case {case.index}: {name} waits although only Redis fails" for name in waiting))
            rest = began + case.seconds - time.time()
            if self._process.ended(max(0.0, min(rest, _LOOK_EVERY))) or rest <= _LOOK_EVERY:
                return

    def _look_live(self, case: Case) -> None:
        began = time.monotonic()
        said = status(f"{self._url}/livez", seconds=LIVE_SECONDS)
        self._count("looks at /livez")
        if said != 200:
            self._violate(f"case {case.index}: /livez says {said or 'nothing'} after {time.monotonic() - began:.1f} s")

    def _look_stale(self, case: Case) -> None:
        seen_at = time.time()
        for name, fields in shown(self._redis, names(LOGINS)).items():
            if int(fields["expires_at"]) + SHOWN_LONGER < seen_at:
                self._violate(f"case {case.index}: {name} is shown {seen_at - int(fields['expires_at']):.1f} s expired")

    def _recover(self, case: Case, healed: float) -> None:
        """Until each login was once seen as it must be; lost ones log in again."""
        deadline = healed + RECOVERY_SECONDS
        waiting = self._uneasy()
        while waiting and time.time() < deadline and not self._process.ended(0.05):
            now = self._uneasy()
            waiting = {name: now[name] for name in waiting if name in now}
        self._findings.slowest[case.link] = max(self._findings.slowest[case.link], time.time() - healed)
        after = f"case {case.index} ({case.link} {case.trouble}), {time.time() - healed:.0f} s after it healed"
        self._violate(*(f"{after}: {fault}" for fault in waiting.values()))
        lost = self._installation.families.keys() - self._installation.living()
        if lost:
            self._installation.log_in(sorted(lost))

    def _uneasy(self) -> dict[str, str]:
        """What is not yet as it must be, by credential: every living login fresh and readable, every lost one told."""
        rows, living = self._installation.rows(), self._installation.living()
        tokens = shown(self._redis, sorted(living))
        accepted = self._installation.accepted(tokens)
        faults, late = {}, time.time() - BACKLOG_SECONDS
        for name, row in rows.items():
            if row.due(late):
                faults[name] = f"{name} waits for its turn since {row.next_attempt_at}"
            elif row.well != (name in living):
                faults[name] = f"{name} {'lives' if name in living else 'is lost'}, and the store says {row}"
            elif name in living and name not in accepted:
                faults[name] = f"{name} lives and is {'shown with a dead token' if name in tokens else 'not shown'}"
        return faults

    def _stop(self) -> None:
        self._process.send(signal.SIGTERM)
        if not self._process.ended(_STOP_SECONDS) or self._process.code != 0:
            self._violate(f"stopped with {self._process.code}: {self._process.tail}")

    def _count(self, name: str, number: int = 1) -> None:
        self._findings.counts[name] += number

    def _violate(self, *texts: str) -> None:
        self._findings.violations += [f"{self._directory.name} ({self.grace}): {text}" for text in texts]
