"""Probes and metrics on a real socket (contract §5)."""

import http.client
import socket
from asyncio import to_thread
from collections.abc import AsyncIterator

import pytest

from refreshd.adapters.http.server import HttpServer, ListenRefused

OK = 200


class Daemon:
    """What the three functions say."""

    def __init__(self) -> None:
        self.live = True
        self.ready = True

    def server(self, port: int = 0, host: str = "127.0.0.1") -> HttpServer:
        return HttpServer(
            host=host, port=port, live=lambda: self.live, ready=lambda: self.ready, metrics=lambda: b"up 1\n"
        )


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
async def server(daemon: Daemon) -> AsyncIterator[HttpServer]:
    async with daemon.server() as one:
        yield one


async def ask(server: HttpServer, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    """Status, content type, body."""

    def exchange() -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(server.address, timeout=5)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read()
        finally:
            connection.close()

    return await to_thread(exchange)


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize(("good", "status"), [(True, 200), (False, 503)])
async def test_a_probe_says_what_its_function_says(
    daemon: Daemon, server: HttpServer, path: str, *, good: bool, status: int
) -> None:
    """Each probe has its own answer: not ready is not dead."""
    daemon.live, daemon.ready = (good, not good) if path == "/livez" else (not good, good)
    expected = (status, "text/plain; charset=utf-8", b"ok\n" if good else b"not ok\n")
    assert expected == await ask(server, path)


async def test_metrics_are_prometheus_text(server: HttpServer) -> None:
    """The content type names the format's version: scrapers insist on it."""
    assert (OK, "text/plain; version=0.0.4; charset=utf-8", b"up 1\n") == await ask(server, "/metrics")


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics/", "/livez/../token", "/livezz"])
async def test_there_is_nothing_else(server: HttpServer, path: str) -> None:
    """No index, no neighbour, no way out."""
    assert 404 == (await ask(server, path))[0]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nothing_can_be_changed(server: HttpServer, method: str) -> None:
    """Read only."""
    assert 405 == (await ask(server, "/metrics", method))[0]


async def test_a_taken_port_is_refused_in_words(daemon: Daemon, server: HttpServer) -> None:
    """Address, reason and remedy on one line; the first listener goes on."""
    port = int(server.address.rpartition(":")[2])
    with pytest.raises(ListenRefused) as caught:
        await daemon.server(port).__aenter__()
    text = str(caught.value)
    assert text.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert "address already in use" in text
    assert text.endswith("choose another http.listen")
    assert "\n" not in text
    assert OK == (await ask(server, "/livez"))[0]


async def test_an_address_that_is_not_ours_is_refused_in_words(daemon: Daemon) -> None:
    """TEST-NET-1 is nobody's (RFC 5737)."""
    with pytest.raises(ListenRefused, match=r"^cannot listen on 192\.0\.2\.1:1"):
        await daemon.server(1, "192.0.2.1").__aenter__()


async def test_ipv6_is_shown_in_brackets(daemon: Daemon) -> None:
    """So that the address can be pasted after http://."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    try:
        async with daemon.server(0, "::1") as one:
            assert one.address.startswith("[::1]:")
    except ListenRefused as refusal:
        pytest.skip(str(refusal))


async def test_the_port_is_free_again_after_the_end(daemon: Daemon) -> None:
    """A restart does not wait for its own past."""
    async with daemon.server() as one:
        port = int(one.address.rpartition(":")[2])
    async with daemon.server(port) as one:
        assert OK == (await ask(one, "/livez"))[0]
