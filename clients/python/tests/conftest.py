"""A Redis of each module's own, emptied before each test, and an API that refuses old tokens."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import pytest
import redis
from redis.asyncio import Redis as AsyncRedis

START_SECONDS = 10.0


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    """The path of a unix socket on which Debian's redis-server answers."""
    directory = Path(tempfile.mkdtemp(prefix="redis-"))
    path = str(directory / "s")
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", str(directory)],
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait(path)
        yield path
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(directory)


def _wait(path: str) -> None:
    until = time.monotonic() + START_SECONDS
    with redis.Redis(unix_socket_path=path) as probe:
        while True:
            try:
                probe.ping()
            except redis.ConnectionError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return


@pytest.fixture(params=[True, False], ids=["str", "bytes"])
def store(request: pytest.FixtureRequest, socket: str) -> Iterator[redis.Redis]:
    """A client that decodes its replies, and one that does not: either may be handed in."""
    with redis.Redis(unix_socket_path=socket, decode_responses=request.param) as client:
        client.flushall()
        client.acl_setuser("default", enabled=True, nopass=True, categories=["+@all"])
        yield client


@pytest.fixture
async def async_store(socket: str, store: redis.Redis) -> AsyncIterator[AsyncRedis]:
    decodes = store.get_encoder().decode_responses
    async with AsyncRedis(unix_socket_path=socket, decode_responses=decodes) as client:
        yield client


class Api:
    """Answers 200 to the tokens in `good`, 401 to others. `seen`: the token and the body of each request.

    /away redirects to another host's name for itself, /moved to its own /.
    """

    def __init__(self) -> None:
        self.good: set[str] = set()
        self.seen: list[tuple[str, bytes]] = []
        self._news: Timer | None = None
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name is http.server's
                self._answer(self._body())

            def do_GET(self) -> None:
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                token = (self.headers["authorization"] or "").removeprefix("Bearer ")
                api.seen.append((token, body))
                good = token in api.good
                if not good:
                    api._refused()
                places = {"/away": f"{api.url.replace('127.0.0.1', 'localhost')}/", "/moved": "/"}
                status = 302 if self.path == "/away" or (good and self.path in places) else 200 if good else 401
                self.send_response(status)
                if status == 302:
                    self.send_header("location", places[self.path])
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok" if good else b"no")

            def _body(self) -> bytes:
                if length := self.headers["content-length"]:
                    return self.rfile.read(int(length))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="api")
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def after_refusal(self, seconds: float, work: Callable[..., None], *arguments: Any) -> None:
        """Do that so long after the next 401."""
        self._news = Timer(seconds, work, arguments)

    def _refused(self) -> None:
        if self._news is not None and not self._news.is_alive() and not self._news.finished.is_set():
            self._news.start()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    one = Api()
    one.start()
    yield one
    one.stop()
