"""Processes of the product under test, started in milliseconds, watched and ended without ever meeting a reused pid."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

COMMAND = Path(sys.executable).parent / "refreshd"
_ROOT = Path(__file__).parents[3]
_END_SECONDS = 10.0
_TAIL = 800


class ForkServer:
    """One zygote. Thread-safe: each order is answered before the next one is sent."""

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.programme.daemons.zygote"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C ends the programme, which then ends the daemons as it likes
        )
        self._answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._zygote.stdin, self._zygote.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._zygote.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._zygote.kill()
            self._zygote.wait(_END_SECONDS)

    def start(
        self,
        arguments: Sequence[str],
        *,
        log: Path,
        errors: Path | None = None,
        stdin: Path = Path(os.devnull),
        environ: Mapping[str, str] | None = None,
        installed: bool = False,
    ) -> "Process":
        """`installed`: the command as users have it, imports and all; else a fork that runs the same code.

        `log`: where standard output goes, and standard error too if `errors` names no other file.
        """
        order = {
            "arguments": list(arguments),
            "command": str(COMMAND),
            "environ": dict(environ or {}),
            "errors": str(errors or log),
            "installed": installed,
            "log": str(log),
            "stdin": str(stdin),
        }
        with self._lock:
            pid = self._ask(order)["pid"]
            return Process(pid=pid, log=log, server=self, descriptor=os.pidfd_open(pid))

    def reap(self, pid: int) -> int:
        """The exit code of a process that has ended; negative for a signal."""
        with self._lock:
            return self._ask({"reap": pid})["code"]

    def _ask(self, order: Mapping[str, object]) -> dict[str, int]:
        if self._zygote.stdin is None:
            raise RuntimeError("the fork server has no input")
        self._zygote.stdin.write(json.dumps(order).encode() + b"\n")
        self._zygote.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, int]:
        line = self._zygote.stdout.readline() if self._zygote.stdout else b""
        if not line:
            raise RuntimeError("the fork server has ended")
        answer: dict[str, int] = json.loads(line)
        return answer


@dataclass(slots=True, kw_only=True)
class Process:
    """One run of the product. Every signal goes to the process that was started, or to nobody."""

    pid: int
    log: Path
    server: ForkServer
    descriptor: int
    began: float = field(default_factory=time.time)
    code: int | None = None

    def send(self, number: signal.Signals) -> None:
        """A signal; nothing happens if the process has ended."""
        if self.code is None:
            try:
                signal.pidfd_send_signal(self.descriptor, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def ended(self, seconds: float) -> bool:
        """Whether it ends within that time. Then `code` is known."""
        if self.code is not None:
            return True
        watch = select.poll()
        watch.register(self.descriptor, select.POLLIN)
        if not watch.poll(max(0.0, seconds) * 1000):
            return False
        self.code = self.server.reap(self.pid)
        os.close(self.descriptor)
        return True

    def end(self) -> int:
        """Kill it if it still lives. Returns its exit code."""
        self.kill()
        if not self.ended(_END_SECONDS) or self.code is None:
            raise RuntimeError(f"process {self.pid} survived SIGKILL")
        return self.code

    def said(self, event: str) -> bool:
        """Whether the log holds that event."""
        return f'"event":"{event}"'.encode() in self.text

    def slowdown(self) -> float:
        """How many times longer its main thread took so far than on a machine of its own: ran and waited, by what it ran."""
        try:
            ran, waited, _ = map(int, Path(f"/proc/{self.pid}/schedstat").read_text().split())
        except (OSError, ValueError):  # it has just ended, or this system does not count
            return 1.0
        return (ran + waited) / ran if ran else 1.0

    @property
    def text(self) -> bytes:
        return self.log.read_bytes() if self.log.exists() else b""

    @property
    def tail(self) -> str:
        """The end of the log, for a message about this process."""
        return self.text[-_TAIL:].decode(errors="replace")

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Whole log lines with one of these events, oldest first."""
        found = []
        for line in self.text.splitlines():
            if line.startswith(b"{") and line.endswith(b"}"):
                entry: dict[str, Any] = json.loads(line)
                if entry.get("event") in names:
                    found.append(entry)
        return found

    def wait_for(self, event: str, seconds: float) -> bool:
        """Whether the event is said before that time is over and the process has ended."""
        deadline = time.monotonic() + seconds
        while not self.said(event):
            if time.monotonic() > deadline or self.ended(0.005):
                return self.said(event)
        return True
