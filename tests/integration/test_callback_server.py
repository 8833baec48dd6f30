"""The callback server over raw sockets: it answers one address on loopback, once, and only to who knows the state."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import pytest

from refreshd.adapters.callback.server import CallbackRefused, CallbackServer
from refreshd.domain.authorization import AuthorizationCode, AuthorizationRequest, LoginProfile, authorization_request
from refreshd.domain.callback import Declined, MixedUp, NotOurs, Strange
from refreshd.domain.secret import Secret

ISSUER = "https://login.example"
PROFILE = LoginProfile(authorization_endpoint=f"{ISSUER}/auth", client_id="id", issuer=ISSUER)
SAFE = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-type": "text/html; charset=utf-8",
}


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    page: str


@dataclass
class Waiting:
    """A server that waits for the answer to one request. Each visit is a connection of its own."""

    server: CallbackServer
    request: AuthorizationRequest
    refused: list[NotOurs] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answer = asyncio.create_task(self.server.receive(self.request, on_refused=self.refused.append))

    @property
    def good(self) -> str:
        return f"/callback?code=the-code&state={self.request.state}&iss={quote(ISSUER, safe='')}"

    async def visit(self, target: str, *, method: str = "GET", host: str | None = None, body: str = "") -> Answered:
        parts = urlsplit(self.server.redirect_uri)
        lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc if host is None else host}"]
        lines += [f"Content-Length: {len(body)}", "Accept: text/html", "Connection: close", "", body]
        return await self.raw("\r\n".join(lines).encode())

    async def raw(self, request: bytes) -> Answered:
        parts = urlsplit(self.server.redirect_uri)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(host, parts.port)
            writer.write(request)
            await writer.drain()
            head, _, page = (await reader.read()).decode().partition("\r\n\r\n")
            writer.close()
        status, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return Answered(int(status.split()[1]), headers, page)

    async def code(self) -> str:
        """The visit that succeeds, for a server that must still be waiting."""
        visit = asyncio.create_task(self.visit(self.good))
        found = await asyncio.wait_for(asyncio.shield(self.answer), 10)
        await self.server.conclude(stored=True)
        assert 200 == (await visit).status
        assert isinstance(found, AuthorizationCode)
        return found.code.reveal()


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) if socket.has_ipv6 else socket.socket() as probe:
        return socket.has_ipv6 and probe.connect_ex(("::1", 9)) in {0, errno.ECONNREFUSED}


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on loopback here")


def asked(server: CallbackServer) -> AuthorizationRequest:
    return authorization_request(PROFILE, redirect_uri=server.redirect_uri, state=b"s" * 32, verifier=b"v" * 48)


@pytest.fixture
async def waiting() -> AsyncIterator[Waiting]:
    async with CallbackServer("http://127.0.0.1/callback") as server:
        yield Waiting(server, asked(server))


async def test_the_browser_hears_that_it_is_done_when_it_is(waiting: Waiting) -> None:
    """Not before the tokens are stored: a page that says so earlier is a promise that a full disk breaks."""
    visit = asyncio.create_task(waiting.visit(waiting.good))
    found = await asyncio.wait_for(waiting.answer, 10)
    assert isinstance(found, AuthorizationCode)
    assert (Secret("the-code"), waiting.server.redirect_uri) == (found.code, found.redirect_uri)
    await asyncio.sleep(0.1)
    assert not visit.done()
    await waiting.server.conclude(stored=True)
    answered = await visit
    assert (200, True) == (answered.status, "You may close this window" in answered.page)


async def test_the_browser_hears_that_it_failed(waiting: Waiting) -> None:
    """The reason stands in the terminal, where its words can do no harm."""
    visit = asyncio.create_task(waiting.visit(waiting.good))
    await asyncio.wait_for(waiting.answer, 10)
    await waiting.server.conclude(stored=False)
    answered = await visit
    assert (400, False) == (answered.status, "You may close" in answered.page)


async def test_a_page_loads_nothing_keeps_nothing_and_repeats_nothing(waiting: Waiting) -> None:
    """No resource, no referrer that carries the code on, no cache, no echo; whatever was asked."""
    foreign = "/callback?code=%3Cscript%3Eecho%3C/script%3E&state=echo"
    pages = [
        await waiting.visit(foreign),
        await waiting.visit("/echo"),
        await waiting.visit(waiting.good, method="POST", body="echo"),
        await waiting.visit(waiting.good, host="echo.example"),
    ]
    visit = asyncio.create_task(waiting.visit(waiting.good))
    await waiting.answer
    await waiting.server.conclude(stored=True)
    pages += [await visit, await waiting.visit(waiting.good)]
    for answered in pages:
        assert SAFE.items() <= answered.headers.items()
        assert answered.headers["content-security-policy"].startswith("default-src 'none'; ")
        assert "set-cookie" not in answered.headers
        assert not any(
            word in answered.page for word in ("echo", "the-code", waiting.request.state, "src=", "href=", "<script")
        )
    assert [400, 404, 405, 421, 200, 410] == [one.status for one in pages]


FOREIGN: Sequence[tuple[str, Strange]] = [
    ("/callback", Strange.STATE_MISSING),
    ("/callback?code=stolen", Strange.STATE_MISSING),
    ("/callback?error=access_denied", Strange.STATE_MISSING),
    ("/callback?code=stolen&state=foreign", Strange.STATE_FOREIGN),
    ("/callback?error=access_denied&state=foreign", Strange.STATE_FOREIGN),
    ("/callback?state={state}", Strange.NOTHING),
    ("/callback?code=a&code=b&state={state}", Strange.DUPLICATED),
    ("/callback?code=a&state={state}&state={state}", Strange.DUPLICATED),
    ("/callback?code=a&state=foreign&state={state}", Strange.DUPLICATED),
    ("/callback?code=a&state=%ff", Strange.UNREADABLE),
]


@pytest.mark.parametrize(("target", "cause"), FOREIGN)
async def test_a_foreign_callback_is_refused_and_the_login_goes_on(
    waiting: Waiting, target: str, cause: Strange
) -> None:
    """Nobody who does not know the state can end a login, let alone finish it."""
    answered = await waiting.visit(target.format(state=waiting.request.state))
    assert (400, True) == (answered.status, "the login goes on waiting" in answered.page)
    assert ([NotOurs(cause=cause)], False) == (waiting.refused, waiting.answer.done())
    assert "the-code" == await waiting.code()


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS", "DELETE"])
async def test_only_a_visit_counts(waiting: Waiting, method: str) -> None:
    """A form on a foreign page can POST; it cannot make the browser's address bar ours."""
    answered = await waiting.visit(waiting.good, method=method, body="" if method == "HEAD" else "code=x")
    assert (405, "GET", False) == (answered.status, answered.headers["allow"], waiting.answer.done())
    assert ([NotOurs(cause=Strange.POSTED)] if method == "POST" else []) == waiting.refused
    assert "the-code" == await waiting.code()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost:{port}", "", "[::1]:{port}"])
async def test_another_name_for_this_machine_is_refused(waiting: Waiting, host: str) -> None:
    """DNS rebinding: a foreign page whose name leads to loopback reads nothing and changes nothing."""
    port = urlsplit(waiting.server.redirect_uri).port
    answered = await waiting.visit(waiting.good, host=host.format(port=port))
    assert (421, False) == (answered.status, waiting.answer.done())
    assert "the-code" == await waiting.code()


@pytest.mark.parametrize(
    "path", ["/", "/callback/", "/Callback", "//callback", "/call%62ack", "/favicon.ico", "/x/../callback"]
)
async def test_only_the_registered_path_is_answered(waiting: Waiting, path: str) -> None:
    """To the letter; a browser asks for more than what it was sent to."""
    answered = await waiting.visit(path + waiting.good.removeprefix("/callback"))
    assert (404, False) == (answered.status, waiting.answer.done())
    assert "the-code" == await waiting.code()


@pytest.mark.parametrize(
    "request_line", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET /callback?code=\xff HTTP/1.1\r\nHost: x"]
)
async def test_what_is_no_http_is_survived_in_silence(
    waiting: Waiting, request_line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A TLS greeting, or noise. Nothing is logged: aiohttp's own lines quote what came, codes included."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(waiting.server.redirect_uri).port)
    writer.write(request_line + b"\r\n\r\n")
    async with asyncio.timeout(10):
        await reader.read()
    writer.close()
    assert "the-code" == await waiting.code()
    assert [] == caplog.records


async def test_a_replay_finds_nothing_to_do(waiting: Waiting) -> None:
    """While the first is under way the same visit waits beside it, as browsers ask twice; afterwards it is told so."""
    first, second = (asyncio.create_task(waiting.visit(waiting.good)) for _ in range(2))
    await waiting.answer
    other = await waiting.visit(waiting.good.replace("the-code", "another"))
    await waiting.server.conclude(stored=True)
    assert (200, 200, 410) == ((await first).status, (await second).status, other.status)
    assert 410 == (await waiting.visit(waiting.good)).status
    assert [] == waiting.refused


async def test_the_providers_no_ends_the_login(waiting: Waiting) -> None:
    """It knows the state."""
    visit = asyncio.create_task(waiting.visit(f"/callback?error=access_denied&state={waiting.request.state}"))
    assert Declined(error="access_denied") == await asyncio.wait_for(waiting.answer, 10)
    await waiting.server.conclude(stored=False)
    assert 400 == (await visit).status


async def test_another_issuer_ends_the_login(waiting: Waiting) -> None:
    """RFC 9207: the code goes nowhere."""
    visit = asyncio.create_task(
        waiting.visit(f"/callback?code=c&state={waiting.request.state}&iss=https://evil.example")
    )
    assert MixedUp(expected=ISSUER, found="https://evil.example") == await asyncio.wait_for(waiting.answer, 10)
    await waiting.server.conclude(stored=False)
    assert 400 == (await visit).status


async def test_a_browser_that_hangs_up_does_not_stop_the_login(waiting: Waiting) -> None:
    """The code is in our hands by then."""
    _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(waiting.server.redirect_uri).port)
    netloc = urlsplit(waiting.server.redirect_uri).netloc
    writer.write(f"GET {waiting.good} HTTP/1.1\r\nHost: {netloc}\r\n\r\n".encode())
    found = await asyncio.wait_for(waiting.answer, 10)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    assert isinstance(found, AuthorizationCode)
    again = asyncio.create_task(waiting.visit(waiting.good))
    await asyncio.sleep(0.05)
    await waiting.server.conclude(stored=True)
    assert 200 == (await again).status


async def test_a_long_code_fits(waiting: Waiting) -> None:
    """Some providers' codes are tokens of a kilobyte and more; a line of 8 KiB is refused by default."""
    visit = asyncio.create_task(
        waiting.visit(waiting.good.replace("the-code", "c" * 8000) + "&session_state=" + "s" * 4000)
    )
    found = await asyncio.wait_for(waiting.answer, 10)
    assert isinstance(found, AuthorizationCode)
    await waiting.server.conclude(stored=True)
    assert (8000, 200) == (len(found.code.reveal()), (await visit).status)


async def test_a_visit_before_the_end_gets_an_answer_when_the_login_is_given_up() -> None:
    """No browser is left spinning."""
    async with CallbackServer("http://127.0.0.1/callback") as server:
        waiting = Waiting(server, asked(server))
        visit = asyncio.create_task(waiting.visit(waiting.good))
        await asyncio.wait_for(waiting.answer, 10)
    assert 400 == (await visit).status


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", pytest.param("[::1]", marks=IPV6)])
async def test_a_port_that_is_not_named_is_chosen_and_a_named_one_is_kept(host: str) -> None:
    """RFC 8252 §7.3. `localhost` may mean either address, so both are ours, or somebody else would be handed the code."""
    async with CallbackServer(f"http://{host}/cb") as server:
        port = urlsplit(server.redirect_uri).port
        assert f"http://{host}:{port}/cb" == server.redirect_uri
        addresses = {"localhost": ["127.0.0.1", *(["::1"] if has_ipv6() else [])]}.get(host, [host.strip("[]")])
        for address in addresses:
            with pytest.raises(OSError, match="in use"), socket.create_server((address, port), family=family(address)):
                pass
    async with CallbackServer(f"http://{host}:{port}/cb") as server:
        assert f"http://{host}:{port}/cb" == server.redirect_uri


@pytest.mark.parametrize("taken", ["127.0.0.1", pytest.param("::1", marks=IPV6)])
async def test_a_port_that_is_taken_is_said_before_anybody_logs_in(taken: str) -> None:
    """With what to do. On either address: who listens on the other one would get the code."""
    with socket.create_server((taken, 0), family=family(taken)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(CallbackRefused, match=f"cannot listen on localhost:{port} .*in use.*--no-browser"):
            async with CallbackServer(f"http://localhost:{port}/callback"):
                pass


async def test_the_server_is_gone_afterwards() -> None:
    """Nothing listens when nobody logs in."""
    async with CallbackServer("http://127.0.0.1/callback") as server:
        port = urlsplit(server.redirect_uri).port
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
