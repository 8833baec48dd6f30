"""The native token endpoint of `provider/`: compiled, started, asked what it has seen."""

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "provider"
ACCESS_LENGTH = 1000
REFRESH_LENGTH = 200
HOUR = 3600


class NoCompiler(Exception):  # noqa: N818 - reads as what it says
    """Neither cc nor gcc is installed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Requests answered, connections that posted, CPU seconds."""

    requests: int
    connections: int
    cpu: float


@dataclass(frozen=True, slots=True)
class TokenProvider:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def seen(self) -> Seen:
        return Seen(**json.loads(self._get("/stats")))

    def order(self) -> str:
        """The first letter of each credential's name, in the order of arrival."""
        return self._get("/order").decode("ascii")

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


def compiled(name: str, directory: Path) -> Path:
    """The program `provider` or `load`, built in the directory if it is not there yet. Raises `NoCompiler`."""
    program = directory / name
    if not program.exists():
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise NoCompiler("a C compiler is needed; on Debian: apt-get install gcc libc6-dev")
        subprocess.run([compiler, "-O2", "-o", program, SOURCES / f"{name}.c"], check=True)
    return program


@contextmanager
def token_provider(directory: Path, *, latency: float = 0.05, expires_in: int = HOUR) -> Iterator[TokenProvider]:
    """A provider that answers after `latency` seconds. Raises `NoCompiler`."""
    command = [str(compiled("provider", directory)), str(int(latency * 1e6))]
    command += [str(ACCESS_LENGTH), str(REFRESH_LENGTH), str(expires_in)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield TokenProvider(port=int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def rate_borne(directory: Path, *, connections: int = 64, seconds: float = 3.0) -> float:
    """Requests per second that the provider answers a native client without latency: the proof that it is not the limit."""
    with token_provider(directory, latency=0) as provider:
        command = [str(compiled("load", directory)), str(provider.port), str(connections), str(seconds)]
        done = subprocess.run(command, check=True, capture_output=True, timeout=seconds + 20)
    return float(done.stdout)
