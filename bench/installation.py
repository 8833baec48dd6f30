"""refreshd as its users run it: the installed command, a configuration, a SQLite file, metrics and logs on."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.exposition import Samples, read_samples
from tests.components.ports import free_port

COMMAND = Path(sys.executable).parent / "refreshd"
CONCURRENCY = 64
MAX_RATE = "10000/s"
STOP_SECONDS = 120.0
START_SECONDS = 120.0


class NotInTime(Exception):  # noqa: N818 - reads as what it says
    """Something that was waited for did not happen."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Configuration and key ring in a directory. `endpoints`: token endpoints by client name."""

    directory: Path
    endpoints: Mapping[str, str]
    redis_url: str
    port: int

    @property
    def config(self) -> Path:
        return self.directory / "config.toml"

    @property
    def database(self) -> Path:
        return self.directory / "refreshd.db"

    @property
    def log(self) -> Path:
        return self.directory / "daemon.log"

    def command(self, *arguments: str, timeout: float = 3600) -> str:
        done = subprocess.run(
            [COMMAND, "--config", self.config, *arguments], capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            raise RuntimeError(f"refreshd {arguments[0]} failed: {done.stderr[-2000:]}")
        return done.stdout

    def metrics(self) -> Samples:
        return read_samples(self.exposition().decode())

    def exposition(self) -> bytes:
        """What a scrape reads."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=20) as answer:
            body: bytes = answer.read()
            return body


def install(directory: Path, *, endpoints: Mapping[str, str], redis_url: str, extra: str = "") -> Installation:
    """Defaults everywhere but in what limits the rate; the log goes to a file, one JSON object for each refresh."""
    directory.mkdir(parents=True)
    made = Installation(directory=directory, endpoints=endpoints, redis_url=redis_url, port=free_port())
    lines = ["[scheduler]", f"concurrency = {CONCURRENCY}", 'spread = "0%"']
    lines += ["[store]", f'url = "sqlite:///{made.database}"', 'encryption_key_file = "encryption.key"']
    lines += ["[redis]", f'url = "{redis_url}"', "[http]", f'listen = "127.0.0.1:{made.port}"']
    for name, endpoint in endpoints.items():
        lines += [f"[clients.{name}]", 'provider = "generic"', f'client_id = "{name}"', 'client_secret = "bench"']
        lines += [f'token_endpoint = "{endpoint}"', f"max_in_flight = {CONCURRENCY}", f'max_rate = "{MAX_RATE}"']
        lines += ['scope = "offline read"', extra]
    made.config.touch(mode=0o600)
    made.config.write_text("\n".join([*lines, ""]))
    made.command("keys", "new")
    return made


@contextmanager
def daemon(installation: Installation) -> Iterator[int]:
    """`refreshd run`, ready; yields its process id and ends it by SIGTERM."""
    with installation.log.open("ab") as log:
        process = subprocess.Popen(
            [COMMAND, "--config", installation.config, "run"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: _answers(installation, process), seconds=START_SECONDS, what="the daemon answers")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, every: float = 0.05) -> None:
    """Raises `NotInTime`."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise NotInTime(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)


def _answers(installation: Installation, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"the daemon ended: {installation.log.read_text()[-2000:]}")
    try:
        installation.exposition()
    except OSError:
        return False
    return True
