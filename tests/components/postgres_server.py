"""Debian's PostgreSQL as a test component: one server on loopback that can crash and come back, with a database a test."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import psycopg

from tests.components.ending import end
from tests.components.ports import free_port

USER = "refreshd"
PASSWORD = "postgres-password"
_PLACES = Path("/usr/lib/postgresql")
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
# A killed process loses nothing that it has handed to the kernel, so nothing has to wait for the disk.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "100", "listen_addresses": "127.0.0.1"}


class PostgresServer:
    """A context manager. Its data survive `stop` and `kill`."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are PostgreSQL's own."""
        self._settings = {**_SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        password = self.directory / "password"
        password.write_text(PASSWORD)
        if self._owner:
            for path in (self.directory, password):
                shutil.chown(path, self._owner, self._owner)
        self._run("initdb", "-D", str(self._data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={password}", "-N")
        self.port = free_port()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.crash()
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def database(self, *, like: str | None = None) -> str:
        """A new database's URL. `like`: the URL of one to copy, which nobody is connected to."""
        name = f"t{uuid4().hex}"
        template = f' TEMPLATE "{like.rpartition("/")[2]}"' if like else ""
        self.ask(f'CREATE DATABASE "{name}"{template}')
        return self.url(name)

    def ask(self, query: str, *, database: str = "postgres") -> Sequence[tuple[object, ...]]:
        """One statement as the owner of everything; its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = {**self._settings, "port": str(self.port), "unix_socket_directories": str(self.directory)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with (self.directory / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [_binary("postgres"), "-D", str(self._data), *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    **self._identity,
                )
            while self._process.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(psycopg.OperationalError):
                    psycopg.connect(self.url(), connect_timeout=2).close()
                    return
                time.sleep(0.02)
            time.sleep(0.1)  # processes of the one that was killed still hold its memory
        raise RuntimeError(f"postgres did not start: {(self.directory / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """An orderly end; sessions are cut off."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """An immediate shutdown: every process ends at once, the next start recovers from the log."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """As the kernel does it."""
        self._end(signal.SIGKILL)

    def freeze(self, *, frozen: bool) -> None:
        """Stop or continue the main process: whoever connects now waits."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _owner(self) -> str | None:
        """PostgreSQL refuses to run as root."""
        return "postgres" if os.geteuid() == 0 else None

    @property
    def _identity(self) -> dict[str, Any]:
        """What `subprocess` needs to become that user."""
        if self._owner is None:
            return {}
        entry = pwd.getpwnam(self._owner)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [_binary(name), *arguments], capture_output=True, text=True, check=False, cwd="/", **self._identity
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        end(process, how, within=_STOP_SECONDS)


def _binary(name: str) -> str:
    versions = sorted(_PLACES.glob("*/bin"), key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))
    return str(versions[-1] / name) if versions else name
