"""Replicas on one PostgreSQL whose clocks differ, each killed or frozen again and again."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.programme.daemons.installation import Installation
from tests.programme.daemons.processes import Process
from tests.programme.sharing.judge import Disturbance

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
APART = 300
FREEZE = (10.0, 13.0)
LIFE = (1.0, 5.0)
SCHEDULER: Mapping[str, str | int] = {
    "scan_interval": "200ms",
    "refresh_before_expiry": "5s",
    "request_timeout": "2s",
    "settle_delay": "1s",
    "commit_timeout": "1s",
    "drain_timeout": "10s",
    "concurrency": 64,
}
LEASE = 9.0
LATE = ("credential.attempt_released", "credential.token_rescued", "credential.late_answer_dropped")
_READY_SECONDS = 60.0
_STEP = 0.05


@dataclass(slots=True)
class Seen:
    """What happened to all replicas. Each list is only ever appended to."""

    disturbances: list[Disturbance] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Disturbed:
    """One replica, whose clock is wrong by `offset` seconds: it lives a little, then it is killed or frozen, until `over`."""

    def __init__(
        self, installation: Installation, *, offset: int, chance: random.Random, seen: Seen, over: Callable[[], bool]
    ) -> None:
        self._installation = installation
        self._offset = offset
        self._chance = chance
        self._seen = seen
        self._over = over
        self._process = self._start()

    def live(self) -> None:
        """The whole life, for a thread of its own; then it runs on undisturbed until `end`."""
        while not self._over():
            if not self._process.wait_for("daemon.ready", _READY_SECONDS):
                self._seen.faults.append(f"not ready: {self._process.tail}")
                return
            self._pass(self._chance.uniform(*LIFE))
            if self._over():
                return
            if self._chance.random() < 0.5:
                self._freeze(self._chance.uniform(*FREEZE))
            else:
                self._kill()

    def end(self) -> None:
        """An orderly stop, which must succeed."""
        self._process.send(signal.SIGTERM)
        if not self._process.ended(_READY_SECONDS) or self._process.code:
            self._seen.faults.append(f"no clean stop: {self._process.tail}")
        self._process.end()
        self._count_late()

    def _freeze(self, seconds: float) -> None:
        began = time.time()
        self._process.send(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send(signal.SIGCONT)
        self._note(began)
        self._seen.counts["freezes beyond a lease"] += 1

    def _kill(self) -> None:
        began = time.time()
        self._process.end()
        self._note(began)
        self._count_late()
        self._seen.counts["kills"] += 1
        self._process = self._start()

    def _note(self, began: float) -> None:
        for entry in self._process.events("daemon.started"):
            self._seen.disturbances.append(Disturbance(owner=entry["instance"], began_at=began, ended_at=time.time()))

    def _count_late(self) -> None:
        for entry in self._process.events(*LATE):
            if entry.get("cause") != "draining":
                self._seen.counts["late wake-ups"] += 1
                self._seen.counts[entry["event"].partition(".")[2].replace("_", " ")] += 1

    def _start(self) -> Process:
        environ = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME": f"{self._offset:+d}"} if self._offset else {}
        if self._offset:
            environ["LD_PRELOAD"] = FAKETIME
        return self._installation.daemon(environ=environ, installed=True)

    def _pass(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._over():
            time.sleep(_STEP)


def side_by_side(replicas: Sequence[Disturbed]) -> None:
    """All lives at once, to their end."""
    threads = [threading.Thread(target=one.live) for one in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def faketime_missing() -> bool:
    return not Path(FAKETIME).exists()
