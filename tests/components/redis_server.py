"""Debian's redis-server as a test component: one process on loopback that can go away and come back."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.components.ending import end
from tests.components.ports import free_port

_START_SECONDS = 10.0
_STOP_SECONDS = 5.0
_CLIENT_SECONDS = 2.0
_PORT_TRIES = 5


class RedisServer:
    """A context manager. Without a data directory nothing survives `stop`; with one every write is on disk at once."""

    def __init__(self, *, data: Path | None = None, options: Sequence[str] = ()) -> None:
        """`options` are passed to redis-server as they are, such as `("--requirepass", "secret")`."""
        self._data = data
        self._options = tuple(options)
        self._scratch: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[redis.Redis] = []
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        self.stop()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    @property
    def url(self) -> str:
        """The server's URL, database 0; the same after a restart."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The server process."""
        if self._process is None:
            raise RuntimeError("redis-server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server, after the first time on the same port, and wait until it answers."""
        if self._process is not None:
            return
        if self.port:
            self._launch()
            return
        for remaining in reversed(range(_PORT_TRIES)):
            self.port = free_port()
            try:
                self._launch()
            except RuntimeError:  # another process took the port in between
                if not remaining:
                    raise
            else:
                return

    def stop(self) -> None:
        """End the server in an orderly way; clients see their connections close."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash does."""
        self._end(signal.SIGKILL)

    def client(self) -> redis.Redis:
        """A client that answers in strings, never retries and gives up after two seconds; closed with the server."""
        client: redis.Redis = redis.Redis(
            host="127.0.0.1",
            port=self.port,
            decode_responses=True,
            socket_timeout=_CLIENT_SECONDS,
            socket_connect_timeout=_CLIENT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._clients.append(client)
        return client

    def _launch(self) -> None:
        directory = self._directory()
        log = directory / "redis-server.log"
        self._process = subprocess.Popen(
            ["redis-server", *self._arguments(directory, log)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"redis-server did not start: {log.read_text() if log.exists() else 'no log'}")
            time.sleep(0.01)

    def _directory(self) -> Path:
        if self._data is not None:
            return self._data
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="redis-"))
        return self._scratch

    def _arguments(self, directory: Path, log: Path) -> list[str]:
        persistence = ["--appendonly", "no"]
        if self._data is not None:
            persistence = ["--appendonly", "yes", "--appendfsync", "always"]
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--logfile", str(log)]
        return [*place, "--save", "", *persistence, *self._options]

    def _answers(self) -> bool:
        probe = redis.Redis(port=self.port, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))
        try:
            probe.ping()
        except redis.AuthenticationError:  # a password is set: it answers
            return True
        except (redis.ConnectionError, redis.TimeoutError):  # not yet, or still loading its data
            return False
        finally:
            probe.close()
        return self._process is not None and self._process.poll() is None

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        end(process, how, within=_STOP_SECONDS)
