"""`refreshd login` as a process, beside the browser that it opens. $BROWSER names a script that only notes the address."""

import os
import re
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.components.person import Person
from tests.system.installation import COMMAND, Installation, until

SECONDS = 30.0


class LoginProcess:
    """A context manager; one that still runs at the end is interrupted, then killed."""

    def __init__(self, installation: Installation, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self._installation = installation
        folder = installation.directory / f"login-{time.monotonic_ns()}"
        folder.mkdir()
        self._noted = folder / "url"
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [COMMAND, "--config", str(installation.config), "login", *arguments],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                text=True,
                env={
                    **os.environ,
                    "BROWSER": f"{_browser(folder, self._noted)} %s",
                    **installation.environ,
                    **(environ or {}),
                },
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        if self.process.stdin:
            self.process.stdin.close()
        self._installation.output += [self.out, self.err]

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def url(self) -> str:
        """The address as it was printed."""
        self.says("Log in at this address")
        found = re.search(r"^  (http\S+)$", self.err, re.MULTILINE)
        assert found, self.err
        return found[1]

    @property
    def opened(self) -> str:
        """The address as the browser was given it."""
        until(lambda: self._noted.exists() and self._noted.read_text(), seconds=SECONDS, what="a browser was opened")
        return self._noted.read_text().strip()

    @property
    def redirect_uri(self) -> str:
        self.says("waiting at ")
        found = re.search(r"waiting at (\S+);", self.err)
        assert found, self.err
        return found[1]

    def says(self, text: str) -> None:
        until(lambda: text in self.err or self.process.poll() is not None, seconds=SECONDS, what=text)
        assert text in self.err, self.err

    def paste(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def visit_later(self, callback: str) -> None:
        """Visit beside the test, as a page that waits for the tokens does not come back before."""
        threading.Thread(target=Person().visit, args=(callback,), name="visit", daemon=True).start()

    def ends(self, code: int = 0) -> str:
        """Wait for its end; returns what it printed as data."""
        assert code == self.process.wait(SECONDS), self.err
        return self.out


def _browser(folder: Path, noted: Path) -> Path:
    script = folder / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {noted}\n')
    script.chmod(stat.S_IRWXU)
    return script
