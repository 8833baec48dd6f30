"""Debian's PgBouncer in transaction mode, in front of a PostgreSQL of the tests."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.components.ports import free_port
from tests.components.postgres_server import PASSWORD, USER, PostgresServer

_START_SECONDS = 10.0


class PgBouncer:
    """A context manager; a connection belongs to a client for one transaction only, and there are fewer than clients."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.port = free_port()

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        users = self._directory / "users"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        config = self._directory / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self._server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {users}\n"
            "pool_mode = transaction\ndefault_pool_size = 3\n"
        )
        arguments = ["/usr/sbin/pgbouncer", "-q", str(config)]
        if os.geteuid() == 0:  # it refuses to run as root
            for path in (self._directory, users, config):
                shutil.chown(path, "postgres", "postgres")
            arguments[1:1] = ["-u", "postgres"]
        self._process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.through(self._server.url()), connect_timeout=2).close()
                return self
            time.sleep(0.05)
        raise RuntimeError("pgbouncer did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_START_SECONDS)
        shutil.rmtree(self._directory, ignore_errors=True)

    def through(self, url: str) -> str:
        """The same database, by way of PgBouncer."""
        return url.replace(f":{self._server.port}/", f":{self.port}/")
