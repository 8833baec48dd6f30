"""Redis as Sentinel runs it: a primary, a replica, and three Sentinels that fail over within about two seconds."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.components.ending import end
from tests.components.ports import free_port
from tests.components.redis_server import RedisServer

MASTER = "mymaster"
_SENTINELS = 3
_READY_SECONDS = 20.0
_STOP_SECONDS = 5.0


class SentinelGroup:
    """A context manager. `lines` go into each Sentinel's configuration."""

    def __init__(self, *, lines: Sequence[str] = ()) -> None:
        self._lines = tuple(lines)
        self.ports: list[int] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._scratch = Path(tempfile.mkdtemp(prefix="sentinels-"))
            stack.callback(shutil.rmtree, self._scratch, ignore_errors=True)
            self.primary = stack.enter_context(RedisServer())
            following = ("--replicaof", "127.0.0.1", str(self.primary.port), "--repl-diskless-sync-delay", "0")
            self.replica = stack.enter_context(RedisServer(options=following))
            stack.callback(self.stop_sentinels)
            for _ in range(_SENTINELS):
                self._start_sentinel()
            self._wait_until_they_know_each_other()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", port) for port in self.ports]

    def sentinel(self, number: int) -> "redis.Redis":
        return redis.Redis(
            port=self.ports[number], decode_responses=True, socket_timeout=1, retry=Retry(NoBackoff(), 0)
        )

    def _start_sentinel(self) -> None:
        port = free_port()
        directory = self._scratch / str(port)
        directory.mkdir()
        lines = [f"port {port}", *_about(self.primary.port, quorum=2), *self._lines]
        self._processes.append(_start(directory, lines))
        self.ports.append(port)

    def _wait_until_they_know_each_other(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not all(self._is_ready(number) for number in range(_SENTINELS)):
            if time.monotonic() > deadline:
                raise RuntimeError("the Sentinels did not find each other")
            time.sleep(0.1)

    def _is_ready(self, number: int) -> bool:
        """Seen by a plain client: a Sentinel with users of its own lets the default one look on in these tests."""
        client = self.sentinel(number)
        try:
            state: Any = client.sentinel_master(MASTER)
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()
        return bool(state["num-other-sentinels"] == _SENTINELS - 1 and state["num-slaves"] == 1)

    def stop_sentinels(self) -> None:
        for process in self._processes:
            end(process, within=_STOP_SECONDS)
        self._processes.clear()


@contextmanager
def tls_sentinel(directory: Path, master_port: int, *, certificate: Path, key: Path, trusted: Path) -> Iterator[int]:
    """One Sentinel that speaks TLS alone, to its clients and to the server it watches; yields its port when it knows that."""
    port = free_port()
    lines = ["port 0", f"tls-port {port}", "tls-replication yes", *_about(master_port, quorum=1)]
    lines += [f"tls-cert-file {certificate}", f"tls-key-file {key}", f"tls-ca-cert-file {trusted}"]
    process = _start(directory, lines)
    try:
        yield port
    finally:
        end(process, within=_STOP_SECONDS)


def _about(port: int, *, quorum: int) -> list[str]:
    return [
        f"sentinel monitor {MASTER} 127.0.0.1 {port} {quorum}",
        f"sentinel down-after-milliseconds {MASTER} 1000",
        f"sentinel failover-timeout {MASTER} 5000",
    ]


def _start(directory: Path, lines: Sequence[str]) -> subprocess.Popen[bytes]:
    file = directory / "sentinel.conf"
    file.write_text("\n".join(["bind 127.0.0.1", f"dir {directory}", f"logfile {directory}/log", *lines, ""]))
    return subprocess.Popen(
        ["redis-server", str(file), "--sentinel"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
