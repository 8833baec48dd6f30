"""The programs of docs/examples as processes, against an API that refuses old tokens. What they must do stands in the README."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copy, which
from types import TracebackType
from typing import Self, cast

from redis import Redis

FILES = Path(__file__).parents[2] / "docs/examples"
FETCH_SECONDS = 40.0
GO_BUILD_SECONDS = 45.0
OLD, NEW = "token-1", "token-2"

Prepare = Callable[[Path, Mapping[str, str]], list[str]]


Entries = list[tuple[str, dict[str, str]]]


class Unavailable(Exception):  # noqa: N818 - reads as what it says
    """This language's tools or packages cannot be had on this machine."""


class Api:
    """Answers 200 to `NEW` and 401 to anything else; `refused` has the path of each 401."""

    def __init__(self) -> None:
        refused: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name is http.server's
                good = self.headers["authorization"] == f"Bearer {NEW}"
                if not good:
                    refused.append(self.path)
                self.send_response(200 if good else 401)
                self.send_header("content-length", "5")
                self.end_headers()
                self.wfile.write(b"hello" if good else b"stale")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
                pass

        self.refused = refused
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="api")
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


def exercise(
    language: str, prepare: Prepare, *, api: Api, redis: Redis, environ: Mapping[str, str], scratch: Path
) -> Future[None]:
    """In a thread: one credential gets a newer token after the first 401, one never does, and is asked for once."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            _exercise(language, prepare(scratch, environ), api, redis, environ)
        except BaseException as exc:  # noqa: BLE001 - raised again where the future is read
            done.set_exception(exc)
        else:
            done.set_result(None)

    threading.Thread(target=run, name=language, daemon=True).start()
    return done


def _exercise(language: str, command: list[str], api: Api, redis: Redis, environ: Mapping[str, str]) -> None:
    lucky, unlucky = f"{language}/lucky", f"{language}/unlucky"
    for name in (lucky, unlucky):
        redis.hset(f"refreshd:token:{name}", mapping={"access_token": OLD, "generation": "1"})
    began = time.monotonic()
    first, second = (_start([*command, name, f"{api.url}/{name}"], environ) for name in (lucky, unlucky))
    with first, second:
        while f"/{lucky}" not in api.refused and time.monotonic() - began < 20:
            time.sleep(0.02)
        time.sleep(1.0)  # long enough to call again with the refused token, which nobody may
        redis.hset(f"refreshd:token:{lucky}", mapping={"access_token": NEW, "generation": "2"})
        out, errors = first.communicate(timeout=20)
        assert (0, "hello") == (first.returncode, out.split()[0]), f"{language}: {out}{errors}"
        out, errors = second.communicate(timeout=30)
        waited = time.monotonic() - began
    assert (True, "") == (second.returncode != 0, out), f"{language}: {out}"
    assert f"no token of {unlucky} was accepted within 10 s" in errors
    assert 8.5 < waited < 25, f"{language}: gave up after {waited:.1f} s"
    assert [1, 1] == [api.refused.count(f"/{name}") for name in (lucky, unlucky)], language
    assert OLD not in out + errors
    asked = [
        fields for _, fields in cast("Entries", redis.xrange("refreshd:requests")) if fields["id"].startswith(language)
    ]
    assert [{"id": unlucky, "generation": "1"}] == [fields for fields in asked if fields["id"] == unlucky], language
    assert all(fields["generation"] == "1" for fields in asked), f"{language}: {asked}"
    assert len(asked) <= 2, f"{language}: {asked}"


def _start(command: list[str], environ: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _shell(_scratch: Path, _environ: Mapping[str, str]) -> list[str]:
    if which("curl") is None:
        raise Unavailable("there is no curl")
    return ["sh", str(FILES / "read_token.sh")]


def _python(_scratch: Path, _environ: Mapping[str, str]) -> list[str]:
    return [sys.executable, str(FILES / "read_token.py")]


def _node(scratch: Path, environ: Mapping[str, str]) -> list[str]:
    folder = scratch / "node"
    folder.mkdir()
    for name in ("package.json", "package-lock.json", "read_token.mjs"):
        copy(FILES / name, folder)
    if which("node") is None or which("npm") is None:
        raise Unavailable("there is no node with npm")
    _fetched(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], folder, environ)
    return ["node", str(folder / "read_token.mjs")]


def _go(scratch: Path, environ: Mapping[str, str]) -> list[str]:
    """Modules and compiled packages are kept in the machine's caches, so only the first build is slow."""
    if which("go") is None:
        raise Unavailable("there is no go")
    found = subprocess.run(["go", "env", "-json", "GOCACHE", "GOMODCACHE"], capture_output=True, check=True)
    environ = {**environ, **json.loads(found.stdout)}
    program = scratch / "read_token"
    _fetched(["go", "mod", "download"], FILES / "go", environ)
    try:
        subprocess.run(
            ["go", "build", "-o", str(program), "."],
            cwd=FILES / "go",
            env=environ,
            timeout=GO_BUILD_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired as exc:
        raise Unavailable(f"go build took more than {GO_BUILD_SECONDS:g} s; again with a warm cache") from exc
    return [str(program)]


def _fetched(command: list[str], folder: Path, environ: Mapping[str, str]) -> None:
    """Get packages from their registry; without it the language is unavailable, which is no fault of the example."""
    try:
        done = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise Unavailable(f"{' '.join(command)} took more than {FETCH_SECONDS:g} s") from exc
    if done.returncode:
        raise Unavailable(f"{' '.join(command)} failed: {done.stderr.strip()[-200:]}")


PREPARE: Mapping[str, Prepare] = {"go": _go, "js": _node, "bash": _shell, "python": _python}
