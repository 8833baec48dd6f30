"""refreshd as its users have it: a configuration, a key ring, a store, and the installed command as a process.

Everything that any command printed is kept, so that a test can look for secrets in all of it.
"""

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.components.oidc_server import SECRETS, Minted, OidcServer
from tests.programme.daemons.processes import ForkServer

COMMAND = Path(sys.executable).parent / "refreshd"
START_SECONDS = 30.0
STOP_SECONDS = 60.0

SCHEDULER: Mapping[str, str | int] = {
    "scan_interval": "500ms",
    "refresh_before_expiry": "6s",
    "request_timeout": "5s",
    "settle_delay": "1s",
    "commit_timeout": "5s",
    "drain_timeout": "15s",
}


@dataclass(slots=True)
class Installation:
    """One directory. Clients `basic` and `pkce` are the authorization server's `conf` and `pub`; `client_keys`: lines for each.

    `redis`: the lines of [redis] where it is more than a URL.
    """

    directory: Path
    oidc: OidcServer
    redis_url: str
    scheduler: Mapping[str, str | int] = field(default_factory=dict)
    access_token_lifetime: str = "20s"
    refresh_token_lifetime: str = "30d"
    scope: str = "offline_access read"
    client_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    redis: Sequence[str] = ()
    extra: str = ""
    secret: str = SECRETS["conf"]
    output: list[str] = field(default_factory=list)
    planted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.write_config()
        if not (self.directory / "encryption.key").exists():
            self.command("keys", "new")
        ring = (self.directory / "encryption.key").read_text().split(":")
        self.planted |= {self.secret, ring[-1].strip()}

    @property
    def config(self) -> Path:
        return self.directory / "config.toml"

    @property
    def database(self) -> Path:
        return self.directory / "refreshd.db"

    def write_config(self) -> None:
        """Write configuration and secret files anew; a running daemon keeps what it has."""
        lines = ["[scheduler]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in {**SCHEDULER, **self.scheduler}.items()]
        lines += ["[store]", f'url = "sqlite:///{self.database}"', 'encryption_key_file = "encryption.key"']
        lines += ["[redis]", *(self.redis or [f'url = "{self.redis_url}"']), "[http]", 'listen = "127.0.0.1:0"']
        lines += ["[log]", 'level = "debug"']
        for name, client_id, secret in (("basic", "conf", self.secret), ("pkce", "pub", None)):
            lines += [f"[clients.{name}]", 'provider = "generic"', f'client_id = "{client_id}"']
            lines += [f'token_endpoint = "{self.oidc.token_endpoint}"', 'max_rate = "200/s"']
            lines += [f'scope = "{self.scope}"', f'access_token_lifetime = "{self.access_token_lifetime}"']
            lines += [f'refresh_token_lifetime = "{self.refresh_token_lifetime}"']
            lines += self.client_keys.get(name, ())
            if secret is not None:
                write_private(self.directory / f"{name}.secret", secret)
                lines += [f'client_secret_file = "{name}.secret"']
        write_private(self.config, "\n".join([*lines, self.extra, ""]))

    def command(self, *arguments: str, stdin: str = "", expect: int = 0, timeout: float = 60) -> str:
        """Run one command and return its standard output; its exit code must be the expected one."""
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def run(self, *arguments: str, stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """One command, as a fork of a process that has imported the product: imports would be most of what a test does.

        Raises subprocess.TimeoutExpired.
        """
        with TemporaryDirectory() as name:
            given, out, err = (Path(name) / which for which in ("stdin", "out", "err"))
            given.write_text(stdin)
            line = ["--config", str(self.config), *arguments]
            process = _fork_server().start(line, log=out, errors=err, stdin=given, environ=self.environ)
            in_time = process.ended(timeout)
            code, printed, told = process.end(), out.read_text(), err.read_text()
        self.output += [printed, told]
        if not in_time:
            raise subprocess.TimeoutExpired(line, timeout, printed, told)
        return subprocess.CompletedProcess(line, code, printed, told)

    def log_in(self, client: str, n: int, *, prefix: str | None = None, ttl: int | None = None) -> dict[str, Minted]:
        """Mint grants at the server and import them; returns them by credential id."""
        minted = self.oidc.mint({"basic": "conf", "pkce": "pub"}[client], n, ttl=ttl)
        grants = {f"{prefix or client}/{number:04}": one for number, one in enumerate(minted)}
        self.planted |= {one.refresh_token for one in minted}
        lines = [
            json.dumps(
                {"id": name, "client": client, "refresh_token": one.refresh_token, "scope": "offline_access read"}
            )
            for name, one in grants.items()
        ]
        self.command("import", "-", stdin="\n".join(lines))
        return grants

    def views(self) -> dict[str, dict[str, Any]]:
        """`refreshd list --json` by id."""
        lines = self.command("list", "--json").splitlines()
        return {view["id"]: view for view in map(json.loads, lines)}

    def daemon(self) -> "Daemon":
        return Daemon(self)

    def leaks(self) -> set[str]:
        """Planted secrets, shortened, that stand in anything that any command printed."""
        everything = "\n".join(self.output)
        return {secret[:6] for secret in self.planted if secret in everything}


class Daemon:
    """`refreshd run` as a process; a context manager that ends it by SIGTERM if the test did not."""

    def __init__(self, installation: Installation, *, environ: Mapping[str, str] | None = None) -> None:
        self._installation = installation
        self._log = installation.directory / f"daemon-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [COMMAND, "--config", str(installation.config), "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **installation.environ, **(environ or {})},
            )

    def __enter__(self) -> Self:
        self.wait_for("daemon.ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.terminate()
        self._installation.output.append(self.text)

    @property
    def text(self) -> str:
        return self._log.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.text.splitlines()
        return [entry for entry in map(json.loads, filter(_whole, lines)) if entry["event"] == name]

    def wait_for(self, name: str, *, seconds: float = START_SECONDS, count: int = 1) -> list[dict[str, Any]]:
        """Until the log holds the event that often."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.events(name)
            if len(found) >= count:
                return found
            assert self.process.poll() is None, f"the daemon ended early:\n{self.text[-3000:]}"
            time.sleep(0.05)
        raise AssertionError(f"no {count} x {name} within {seconds} s:\n{self.text[-3000:]}")

    def url(self) -> str:
        return f"http://{self.events('daemon.ready')[0]['listen']}"

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(self.url() + path, timeout=5) as answer:
                body: str = answer.read().decode()
                code: int = answer.status
        except HTTPError as refusal:
            with refusal:
                code, body = refusal.code, refusal.read().decode()
        self._installation.output.append(body)
        return code, body

    def metric(self, name: str, **labels: str) -> float:
        """One sample of /metrics."""
        wanted = "".join(sorted(f'{key}="{value}"' for key, value in labels.items()))
        for line in self.get("/metrics")[1].splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name and "".join(sorted((match[2] or "").split(","))) == wanted:
                return float(match[3])
        raise AssertionError(f"no sample {name}{labels}")

    def kill(self) -> float:
        """End it by SIGKILL; returns when, in Unix seconds."""
        at = time.time()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        return at

    def terminate(self) -> int:
        """End it by SIGTERM; one that does not end is killed, and the test fails."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise


def write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


@cache
def _fork_server() -> ForkServer:
    """One for all tests of this process."""
    server = ForkServer().__enter__()
    atexit.register(server.__exit__, None, None, None)
    return server


def until(condition: Any, *, seconds: float, what: str) -> float:
    """Wait until the condition holds; returns how long that took. A condition that runs a command rests for as long as it ran."""
    start = time.monotonic()
    while (began := time.monotonic()) - start < seconds:
        if condition():
            return time.monotonic() - start
        time.sleep(max(0.05, time.monotonic() - began))
    raise AssertionError(f"not within {seconds} s: {what}")


def _whole(line: str) -> bool:
    return line.startswith("{") and line.endswith("}")


__all__: Sequence[str] = ("Daemon", "Installation", "until", "write_private")
