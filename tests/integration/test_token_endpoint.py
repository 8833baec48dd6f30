"""One refresh over a real wire: what each failure proves, and that a refresh token is presented once and never lost."""

import asyncio
import base64
import contextlib
import gzip
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote_plus

import pytest

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.token_endpoint import HttpTokenEndpoint
from refreshd.adapters.system_clock import SystemClock
from refreshd.domain.client import AuthMethod, Client, ClientIdIn
from refreshd.domain.credential import ClientName
from refreshd.domain.outcome import Confirmation, Deferred, Misconfigured, Outcome, Refreshed, Rejected, label
from refreshd.domain.secret import Secret
from refreshd.domain.token_response import MAX_BODY
from refreshd.ports.token_endpoint import NotSent
from tests.components.oidc_server import SECRETS, Fault, OidcServer
from tests.components.ports import free_port
from tests.integration.certificates import self_signed
from tests.integration.raw_server import TOKENS, RawRequest, RawServer, answering, response

ACME = ClientName("acme")
TOKEN = "the-refresh-token"
SHORT = timedelta(seconds=0.4)
SLACK = 1.0  # of a busy machine


def client_of(url: str, **fields: Any) -> Client:
    values: dict[str, Any] = {
        "auth_method": AuthMethod.NONE,
        "client_id": "id",
        "client_secret": None,
        "request_timeout": timedelta(seconds=5),
        **fields,
    }
    return Client(name=ACME, token_endpoint=url, **values)


def conf(oidc: OidcServer, secret: str = SECRETS["conf"], **fields: Any) -> Client:
    """The authorization server's client of method basic."""
    return client_of(
        oidc.token_endpoint,
        auth_method=AuthMethod.BASIC,
        client_id="conf",
        client_secret=Secret(secret),
        **fields,
    )


@asynccontextmanager
async def opened(client: Client, *, limit: int = 4) -> AsyncIterator[HttpTokenEndpoint]:
    async with Connections([client], limit=limit, user_agent="refreshd/0") as connections:
        yield HttpTokenEndpoint(connections, clock=SystemClock())


async def ask(client: Client, token: str = TOKEN, scope: str = "", *, allow: bool = True) -> Outcome:
    """One refresh by an endpoint of its own."""
    async with opened(client) as endpoint:
        return await endpoint.refresh(client, Secret(token), scope, may_send=lambda: allow)


def kind(outcome: Outcome) -> tuple[str, str]:
    return label(outcome), outcome.code


def kept(outcome: Outcome) -> str | None:
    """The refresh token that came out of it."""
    return outcome.refresh_token.reveal() if isinstance(outcome, Refreshed) and outcome.refresh_token else None


class TestTheRequest:
    """RFC 6749 §6 to the byte: how a client proves itself, and what else is in the request."""

    @pytest.mark.parametrize(
        ("client_id", "secret"), [("id", "secret"), ("an id:%&+=", "sé cret/+:%=&"), ("ünïcode", "p:a:s:s")]
    )
    async def test_basic_form_encodes_both_halves(self, client_id: str, secret: str) -> None:
        """RFC 6749 §2.3.1: a colon, a percent sign or a letter beyond ASCII reaches the provider as it was issued."""
        async with RawServer() as server:
            await ask(
                client_of(server.url, auth_method=AuthMethod.BASIC, client_id=client_id, client_secret=Secret(secret))
            )
        [request] = server.requests
        [authorization] = request.headers["authorization"]
        scheme, _, encoded = authorization.partition(" ")
        halves = base64.b64decode(encoded).decode("ascii").split(":")
        assert "Basic" == scheme
        assert [client_id, secret] == [unquote_plus(half) for half in halves]
        assert [("grant_type", "refresh_token"), ("refresh_token", TOKEN)] == request.form

    async def test_post_puts_id_and_secret_into_the_form(self) -> None:
        """A client of method post has no Authorization header, and its secret stands nowhere else."""
        async with RawServer() as server:
            await ask(
                client_of(server.url, auth_method=AuthMethod.POST, client_id="a&b", client_secret=Secret("s =+é"))
            )
        [request] = server.requests
        assert "authorization" not in request.headers
        assert [("client_id", "a&b"), ("client_secret", "s =+é")] == request.form[2:]

    async def test_a_public_client_names_itself_in_the_form_without_authorization(self) -> None:
        """Frame.io with PKCE refuses a request that carries an Authorization header."""
        async with RawServer() as server:
            await ask(client_of(server.url, client_id="pub"))
        [request] = server.requests
        assert "authorization" not in request.headers
        assert ("client_id", "pub") in request.form
        assert "client_secret" not in dict(request.form)
        assert "POST /token HTTP/1.1" == request.line

    @pytest.mark.parametrize(("suffix", "separator"), [("", "?"), ("?api=3", "&")])
    async def test_a_client_id_in_the_query_is_added_to_the_address(self, suffix: str, separator: str) -> None:
        """Adobe IMS reads `client_id` from the query; a query that the address already has stays."""
        async with RawServer() as server:
            await ask(client_of(server.url + suffix, client_id="a b&c", client_id_in=ClientIdIn.QUERY))
        [request] = server.requests
        assert f"POST /token{suffix}{separator}client_id=a+b%26c HTTP/1.1" == request.line
        assert "client_id" not in dict(request.form)

    @pytest.mark.parametrize(("scope", "sent"), [("offline read", ["offline read"]), ("a+b&c", ["a+b&c"]), ("", [])])
    async def test_the_scope_is_sent_as_granted_or_not_at_all(self, scope: str, sent: list[str]) -> None:
        """An empty scope is no parameter: an empty one would ask for nothing."""
        async with RawServer() as server:
            await ask(client_of(server.url), scope=scope)
        [request] = server.requests
        assert sent == [value for name, value in request.form if name == "scope"]

    async def test_the_headers_are_ours_and_each_stands_once(self) -> None:
        """JSON is asked for, uncompressed, under our own name; no library's default wins over it."""
        async with RawServer() as server:
            await ask(client_of(server.url))
        [request] = server.requests
        expected = {
            "accept": ["application/json"],
            "accept-encoding": ["identity"],
            "content-type": ["application/x-www-form-urlencoded"],
            "user-agent": ["refreshd/0"],
            "content-length": [str(len(request.body))],
        }
        assert expected == {name: values for name, values in request.headers.items() if name in expected}
        assert [] == [name for name, values in request.headers.items() if len(values) > 1]

    @pytest.mark.parametrize("token", ["a\ud800b", "a b+c&d=é", "x" * 20_000, '"\\\x00\r\n'])
    async def test_any_stored_refresh_token_can_be_sent(self, token: str) -> None:
        """A provider's odd token is still the only one: it leaves as the bytes it came as, without an exception."""
        async with RawServer() as server:
            outcome = await ask(client_of(server.url), token)
        [request] = server.requests
        encoded = dict(pair.split("=", 1) for pair in request.body.decode().split("&"))["refresh_token"]
        assert ("refreshed", "ok") == kind(outcome)
        assert token == unquote_plus(encoded, errors="surrogatepass")


class TestARealProvider:
    """oidc-provider with rotation: outcomes as the staircase expects them."""

    @pytest.mark.parametrize(
        ("name", "method"),
        [("conf", AuthMethod.BASIC), ("post", AuthMethod.POST), ("pub", AuthMethod.NONE)],
    )
    async def test_each_method_is_accepted_and_rotates(self, oidc: OidcServer, name: str, method: AuthMethod) -> None:
        """A refresh brings a usable access token and the next refresh token, which works in its turn."""
        secret = Secret(SECRETS[name]) if name in SECRETS else None
        client = client_of(oidc.token_endpoint, auth_method=method, client_id=name, client_secret=secret)
        [minted] = oidc.mint(name)
        first = await ask(client, minted.refresh_token, "offline_access read")
        assert isinstance(first, Refreshed)
        assert first.access is not None
        assert timedelta(seconds=20) == first.access.expires_in
        assert ("refreshed", "ok") == kind(await ask(client, kept(first) or ""))
        assert 0 == oidc.stats().presented_twice

    async def test_a_secret_with_awkward_characters_is_accepted(self, oidc: OidcServer) -> None:
        """A real server decodes what we encode."""
        secret = "p:a%s+&=/?-0123456789"
        oidc.set_secret("conf", secret)
        [minted] = oidc.mint("conf")
        assert ("refreshed", "ok") == kind(await ask(conf(oidc, secret), minted.refresh_token))

    async def test_a_wrong_secret_blames_the_client_and_spares_the_grant(self, oidc: OidcServer) -> None:
        """No person is asked to log in because an operator mistyped a secret."""
        [minted] = oidc.mint("conf")
        assert ("misconfigured", "invalid_client") == kind(await ask(conf(oidc, "wrong"), minted.refresh_token))
        assert oidc.ledger()[minted.grant_id].alive

    async def test_a_reused_token_is_a_rejection(self, oidc: OidcServer) -> None:
        """What `invalid_grant` says about a token presented twice is believed fast, and its text is kept."""
        [minted] = oidc.mint("conf")
        await ask(conf(oidc), minted.refresh_token)
        outcome = await ask(conf(oidc), minted.refresh_token)
        assert isinstance(outcome, Rejected)
        assert ("invalid_grant", Confirmation.FAST) == (outcome.code, outcome.confirmation)

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (Fault(mode="reset"), "uncertain"),
            (Fault(mode="lost"), "uncertain"),
            (Fault(mode="truncate"), "uncertain"),
            (Fault(mode="hang"), "uncertain"),
            (Fault(mode="slow", ms=3000), "uncertain"),
            (Fault(mode="late", ms=3000), "uncertain"),
            (Fault(mode="slow", ms=50), "refreshed"),
            (Fault(mode="late", ms=50), "refreshed"),
            (Fault(mode="reply", status=500), "uncertain"),
            (Fault(mode="reply", status=502, body="<html>bad gateway</html>"), "uncertain"),
            (Fault(mode="reply", status=503), "uncertain"),
            (Fault(mode="reply", status=429), "deferred"),
            (Fault(mode="reply", status=404), "misconfigured"),
            (Fault(mode="reply", status=400), "rejected"),
            (Fault(mode="reply", status=200, body="no JSON"), "uncertain"),
            (Fault(mode="reply", status=400, body='{"error":"temporarily_unavailable"}'), "deferred"),
        ],
        ids=lambda value: f"{value.mode}-{value.status or value.ms or ''}" if isinstance(value, Fault) else value,
    )
    async def test_each_fault_has_its_outcome(self, oidc: OidcServer, fault: Fault, expected: str) -> None:
        """Whatever was sent and not answered may have been processed; an answer means what it says."""
        [minted] = oidc.mint("conf")
        oidc.fault(fault)
        outcome = await ask(conf(oidc, request_timeout=SHORT), minted.refresh_token)
        oidc.fault()
        assert expected == label(outcome)
        assert 1 == oidc.stats().token_requests

    async def test_busy_with_a_time_is_deferred_until_then(self, oidc: OidcServer) -> None:
        """503 with Retry-After was not processed, and holds for the whole client."""
        oidc.fault(Fault(mode="reply", status=503, headers={"Retry-After": "30"}))
        expected = Deferred(code="http_503", retry_after=timedelta(seconds=30), throttled=True)
        assert expected == await ask(conf(oidc))


class TestNothingWasSent:
    """Deferred is said only of requests of which no byte has left; then the refresh token is as good as before."""

    async def test_a_refused_connection(self) -> None:
        """Nobody listens: nothing was sent."""
        outcome = await ask(client_of(f"http://127.0.0.1:{free_port()}/token"))
        assert ("deferred", "client_connector") == kind(outcome)

    async def test_a_name_that_does_not_resolve(self) -> None:
        """No address, no request (RFC 6761: `.invalid` never resolves)."""
        outcome = await ask(client_of("http://nonexistent.invalid/token", request_timeout=timedelta(seconds=3)))
        assert "deferred" == label(outcome)

    async def test_a_plain_port_that_is_spoken_to_in_tls(self) -> None:
        """A handshake that fails carries no request; the server never sees the token."""
        seen: list[bytes] = []

        async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.read(65_536))
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            outcome = await ask(client_of(f"https://127.0.0.1:{port}/token"))
        assert ("deferred", "client_connector_ssl") == kind(outcome)
        assert TOKEN.encode() not in b"".join(seen)

    async def test_a_connection_that_is_closed_during_the_handshake(self) -> None:
        """The same when the far side hangs up before TLS stands."""

        async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            outcome = await ask(client_of(f"https://127.0.0.1:{port}/token"))
        assert "deferred" == label(outcome)

    async def test_a_handshake_that_never_ends(self) -> None:
        """The deadline falls before the first byte of the request: nothing was sent."""
        async with RawServer() as silent:
            url = silent.url.replace("http:", "https:")
            outcome = await ask(client_of(url, request_timeout=SHORT))
        assert ("deferred", "connect_deadline") == kind(outcome)

    async def test_a_connection_that_is_never_accepted(self) -> None:
        """A full backlog drops our SYN: at the deadline nothing was sent."""
        with ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.settimeout(0)
                filler.connect_ex(listener.getsockname())
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/token"
            assert ("deferred", "connect_deadline") == kind(await ask(client_of(url, request_timeout=SHORT)))

    @pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux can be told to give up")
    async def test_what_a_standing_process_sent_is_not_delivered_late(self) -> None:
        """The system goes on sending for a frozen process: past the deadline the far side must get no whole request (R8)."""
        with socket.socket() as listener, ThreadPoolExecutor(1) as far_side:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the smallest there is: the rest must wait
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            accepted = Event()
            received = far_side.submit(_read_late, listener, accepted, after=5 * SHORT.total_seconds())
            client = client_of(f"http://127.0.0.1:{listener.getsockname()[1]}/token", request_timeout=SHORT)
            async with opened(client) as endpoint:
                token = Secret("t" * 16_000)
                asking = asyncio.create_task(endpoint.refresh(client, token, "", may_send=lambda: True))
                while not accepted.is_set():
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.02)
                received.result(timeout=30)  # nothing of this loop runs meanwhile
                assert "uncertain" == kind(await asking)[0]
            assert 0 < received.result() < 16_000

    async def test_a_pool_without_a_free_connection(self) -> None:
        """A request that waited in our own pool until its deadline never left."""

        async def never(_request: RawRequest, _writer: asyncio.StreamWriter) -> None:
            await asyncio.Event().wait()

        async with RawServer(never) as server:
            long = client_of(server.url, request_timeout=timedelta(seconds=1))
            async with opened(long, limit=1) as endpoint:
                first = asyncio.create_task(endpoint.refresh(long, Secret("first"), "", may_send=lambda: True))
                while not server.requests:
                    await asyncio.sleep(0.01)
                second = await endpoint.refresh(
                    client_of(server.url, request_timeout=SHORT), Secret("second"), "", may_send=lambda: True
                )
                assert ("uncertain", "deadline") == kind(await first)
        assert ("deferred", "connect_deadline") == kind(second)
        assert b"second" not in server.received

    async def test_a_guard_that_says_no_keeps_every_byte_back(self) -> None:
        """A lease that no longer covers the request: `NotSent`, and the server saw nothing at all."""
        async with RawServer() as server:
            with pytest.raises(NotSent):
                await ask(client_of(server.url), allow=False)
        assert (b"", []) == (server.received, server.requests)

    async def test_a_guard_is_asked_once_the_connection_stands(self) -> None:
        """Right before the first byte, and once: not while a name is looked up or a handshake runs."""
        asked: list[int] = []
        async with RawServer() as server:

            def may_send() -> bool:
                asked.append(server.accepted)
                return True

            client = client_of(server.url)
            async with opened(client) as endpoint:
                await endpoint.refresh(client, Secret("first"), "", may_send=may_send)
                await endpoint.refresh(client, Secret("second"), "", may_send=may_send)
        assert 2 == len(asked)
        assert 2 == len(server.requests)

    async def test_nothing_can_come_between_the_guard_and_the_first_byte(self) -> None:
        """A process that stands still once the guard said yes has sent already: it must not send when it wakes (R8)."""
        had: list[bytes] = []
        with socket.socket() as listener, ThreadPoolExecutor(1) as far_side:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            received = far_side.submit(_first_bytes, listener)

            def stand_still() -> None:
                with contextlib.suppress(TimeoutError):
                    had.append(received.result(timeout=1))

            def may_send() -> bool:
                asyncio.get_running_loop().call_soon(stand_still)
                return True

            client = client_of(f"http://127.0.0.1:{listener.getsockname()[1]}/token")
            async with opened(client) as endpoint:
                outcome = await endpoint.refresh(client, Secret(TOKEN), "", may_send=may_send)
        assert ([b"POST"], "uncertain") == (had, kind(outcome)[0])

    @pytest.mark.parametrize("url", ["http://127.0.0.1:99999/token", "http://\n/token", "http:///token", "/token"])
    async def test_an_address_that_is_none_blames_the_client(self, url: str) -> None:
        """What can never be asked is a matter for the operator, not for patience."""
        assert ("misconfigured", "invalid_url") == kind(await ask(client_of(url)))


class TestCertificates:
    """Who we speak to is proven before anything is sent."""

    async def test_an_unknown_certificate_blames_the_client(self, tmp_path: Path) -> None:
        """Nobody's login is at fault, and the token never left."""
        tls, _ = self_signed(tmp_path)
        async with RawServer(tls=tls) as server:
            outcome = await ask(client_of(server.url))
        assert ("misconfigured", "certificate") == kind(outcome)
        assert b"" == server.received

    async def test_a_certificate_for_another_name_blames_the_client(self, tmp_path: Path) -> None:
        """A trusted certificate of somebody else proves nothing."""
        tls, ca_file = self_signed(tmp_path)
        async with RawServer(tls=tls) as server:
            url = server.url.replace("127.0.0.1", "localhost")
            assert ("misconfigured", "certificate") == kind(await ask(client_of(url, ca_file=str(ca_file))))
        assert b"" == server.received

    async def test_a_trusted_certificate_is_enough(self, tmp_path: Path) -> None:
        """`ca_file` makes a private authority as good as a public one."""
        tls, ca_file = self_signed(tmp_path)
        async with RawServer(tls=tls) as server:
            outcome = await ask(client_of(server.url, ca_file=str(ca_file)))
        assert ("refreshed", "ok") == kind(outcome)


class TestAnswersThatDoNotArrive:
    """After the first byte only an answer is certain; what arrived of it is kept."""

    async def test_a_server_that_reads_and_hangs_up(self) -> None:
        """It may have rotated: uncertain, and presented once."""

        async def hang_up(_request: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with RawServer(hang_up) as server:
            outcome = await ask(client_of(server.url))
        assert "uncertain" == label(outcome)
        assert 1 == len(server.requests)

    async def test_an_idle_connection_that_the_server_closed_is_not_used(self) -> None:
        """The next request goes over a fresh connection, succeeds, and arrives once."""

        async def answer_then_close(_request: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(response())
            await writer.drain()
            writer.close()

        async with RawServer(answer_then_close) as server:
            client = client_of(server.url)
            async with opened(client) as endpoint:
                for number in range(5):
                    outcome = await endpoint.refresh(client, Secret(f"t{number}"), "", may_send=lambda: True)
                    assert ("refreshed", "ok") == kind(outcome)
                    await asyncio.sleep(0.02)  # the server's FIN crosses the loopback
        assert [f"t{number}" for number in range(5)] == [dict(one.form)["refresh_token"] for one in server.requests]

    async def test_a_kept_connection_that_dies_under_the_next_request_is_uncertain(self) -> None:
        """The server read the second request on the kept connection and hung up: not deferred, and not sent again."""
        answers = [response()]

        async def once(_request: RawRequest, writer: asyncio.StreamWriter) -> None:
            if answers:
                writer.write(answers.pop())
                await writer.drain()
            else:
                writer.close()

        async with RawServer(once) as server:
            client = client_of(server.url)
            async with opened(client) as endpoint:
                first = await endpoint.refresh(client, Secret("first"), "", may_send=lambda: True)
                second = await endpoint.refresh(client, Secret("second"), "", may_send=lambda: True)
        assert ["refreshed", "uncertain"] == [label(first), label(second)]
        assert (1, 2) == (server.accepted, len(server.requests))

    async def test_a_connection_with_half_an_answer_is_never_used_again(self) -> None:
        """What the deadline cut short must not be read as the next credential's answer."""
        slow = asyncio.Event()

        async def handle(request: RawRequest, writer: asyncio.StreamWriter) -> None:
            if dict(request.form)["refresh_token"] == "first":
                writer.write(response(b"{}", length=5000))
                await slow.wait()
            else:
                writer.write(response())

        async with RawServer(handle) as server:
            client = client_of(server.url, request_timeout=SHORT)
            async with opened(client) as endpoint:
                first = await endpoint.refresh(client, Secret("first"), "", may_send=lambda: True)
                second = await endpoint.refresh(client, Secret("second"), "", may_send=lambda: True)
        assert ["uncertain", "refreshed"] == [label(first), label(second)]
        assert 2 == server.accepted

    @pytest.mark.parametrize(("first", "expected"), [("refresh_token", "new-refresh"), ("access_token", None)])
    async def test_a_dripping_body_ends_at_the_deadline_and_keeps_what_came(
        self, first: str, expected: str | None
    ) -> None:
        """The deadline is for the whole exchange; a refresh token that arrived in full before it is not lost."""
        fields = {first: TOKENS[first], **TOKENS, "padding": "x" * 500}
        text = json.dumps(fields).encode()
        early = text.index(b",") + 1 if expected else 5

        async def drip(_request: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(response(text[:early], length=len(text)))
            for byte in text[early:]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)

        async with RawServer(drip) as server:
            started = time.monotonic()
            outcome = await ask(client_of(server.url, request_timeout=SHORT))
            took = time.monotonic() - started
        assert expected == kept(outcome)
        assert ("refreshed" if expected else "uncertain") == label(outcome)
        assert SHORT.total_seconds() <= took < SHORT.total_seconds() + SLACK

    async def test_a_body_cut_short_keeps_the_refresh_token(self) -> None:
        """Fewer bytes than announced: the rotation happened, and its token is in what came."""
        text = json.dumps({"refresh_token": "new-refresh", "access_token": "cut"}).encode()

        async def cut(_request: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(response(text[:-6], length=len(text)))
            await writer.drain()
            writer.close()

        async with RawServer(cut) as server:
            outcome = await ask(client_of(server.url))
        assert ("refreshed", "truncated_success", "new-refresh") == (*kind(outcome), kept(outcome))

    @pytest.mark.parametrize("inside", [True, False], ids=["inside", "beyond"])
    async def test_a_body_over_the_cap_is_read_to_the_cap(self, *, inside: bool) -> None:
        """64 KiB and a byte crash nothing and cost no memory; a refresh token inside the cap is kept."""
        padding = '"padding":"' + "x" * MAX_BODY + '"'
        token = '"refresh_token":"new-refresh"'
        text = "{" + (f"{token},{padding}" if inside else f"{padding},{token}") + "}"

        async with RawServer(answering(response(text.encode()))) as server:
            outcome = await ask(client_of(server.url))
        if inside:
            assert "new-refresh" == kept(outcome)
        assert ("refreshed" if kept(outcome) else "uncertain") == label(outcome)

    async def test_an_endless_body_is_not_read_to_its_end(self) -> None:
        """A provider that never stops talking is left at the cap, long before the deadline."""

        async def endless(_request: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(response(b'{"refresh_token":"new-refresh",', length=1 << 40))
            while True:
                writer.write(b" " * 65_536)
                await writer.drain()

        async with RawServer(endless) as server:
            outcome = await ask(client_of(server.url, request_timeout=timedelta(seconds=20)))
        assert ("refreshed", "oversized_success", "new-refresh") == (*kind(outcome), kept(outcome))

    async def test_nonsense_instead_of_http_is_uncertain(self) -> None:
        """A broken answer is still an answer to something that was read."""
        async with RawServer(answering(b"\x00\xff nonsense\r\n\r\n")) as server:
            outcome = await ask(client_of(server.url, request_timeout=timedelta(seconds=2)))
        assert "uncertain" == label(outcome)


class TestOddAnswers:
    """Servers and middle boxes that do what they were not asked to do."""

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
    async def test_a_compressed_answer_is_read(self, encoding: str) -> None:
        """Identity was asked for; the only refresh token is in there all the same."""
        answer = response(gzip.compress(json.dumps(TOKENS).encode()), headers=f"Content-Encoding: {encoding}\r\n")
        async with RawServer(answering(answer)) as server:
            outcome = await ask(client_of(server.url))
        assert ("refreshed", "ok", "new-refresh") == (*kind(outcome), kept(outcome))

    async def test_a_compressed_bomb_is_unpacked_to_the_cap(self) -> None:
        """A hundred megabytes in a hundred kilobytes are not unpacked."""
        text = json.dumps({**TOKENS, "padding": " " * 40_000_000}).encode()
        packed = gzip.compress(text)
        assert len(packed) < MAX_BODY
        async with RawServer(answering(response(packed, headers="Content-Encoding: gzip\r\n"))) as server:
            outcome = await ask(client_of(server.url))
        assert "new-refresh" == kept(outcome)

    async def test_no_cookie_of_one_answer_goes_with_the_next(self) -> None:
        """A session of one credential must not meet another's refresh."""
        answer = response(headers="Set-Cookie: session=one-persons; Path=/\r\n")
        async with RawServer(answering(answer)) as server:
            client = client_of(server.url)
            async with opened(client) as endpoint:
                for token in ("first", "second"):
                    await endpoint.refresh(client, Secret(token), "", may_send=lambda: True)
        assert 2 == len(server.requests)
        assert [] == [one for one in server.requests if "cookie" in one.headers]

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_not_followed(self, status: int) -> None:
        """The refresh token goes nowhere but to the configured address."""
        async with RawServer() as elsewhere:
            answer = response(b"", status=status, headers=f"Location: {elsewhere.url}\r\n")
            async with RawServer(answering(answer)) as server:
                outcome = await ask(client_of(server.url))
        assert ("misconfigured", f"http_{status}") == kind(outcome)
        assert (1, 0) == (len(server.requests), elsewhere.accepted)

    async def test_an_answer_without_rotation_keeps_the_old_token(self) -> None:
        """No refresh token in a success means: go on with yours."""
        text = json.dumps({"access_token": "a", "token_type": "Bearer", "expires_in": "60"}).encode()
        async with RawServer(answering(response(text))) as server:
            outcome = await ask(client_of(server.url))
        assert ("refreshed", "ok", None) == (*kind(outcome), kept(outcome))

    @pytest.mark.parametrize(
        "shown", [lambda text: text, lambda text: text.replace("+", "%2B").replace("/", "%2F")], ids=["plain", "form"]
    )
    async def test_provider_text_is_scrubbed_and_cut(self, shown: Callable[[str], str]) -> None:
        """An error page that repeats our request puts no secret, no control character and no flood into a log."""
        secret, token = "the+client/secret", "the+refresh/token"
        text = f"\x1b[31m bad \ud800 {shown(token)}\r\n{shown(secret)}\x00 " + "é" * 1000
        answer = response(json.dumps({"error": "invalid_grant", "error_description": text}).encode(), status=400)
        async with RawServer(answering(answer)) as server:
            outcome = await ask(client_of(server.url, auth_method=AuthMethod.POST, client_secret=Secret(secret)), token)
        assert isinstance(outcome, Rejected)
        assert 256 >= len(outcome.detail) > 200
        assert shown(token) not in outcome.detail
        assert shown(secret) not in outcome.detail
        assert all(character.isprintable() for character in outcome.detail)


class TestProxies:
    """A proxy is used if it is configured, and only then."""

    async def test_plain_http_goes_through_the_proxy(self) -> None:
        """The proxy gets the whole address, and its answer counts."""
        async with RawServer() as proxy:
            client = client_of("http://provider.invalid/token", proxy=f"http://127.0.0.1:{proxy.port}")
            outcome = await ask(client)
        assert ("refreshed", "ok") == kind(outcome)
        assert "POST http://provider.invalid/token HTTP/1.1" == proxy.requests[0].line

    async def test_tls_goes_through_a_tunnel(self, tmp_path: Path) -> None:
        """The proxy sees a CONNECT and then only ciphertext; the guard is asked for the request, not for the tunnel."""
        tls, ca_file = self_signed(tmp_path)
        async with RawServer(tls=tls) as server, tunnel() as (proxy, seen):
            outcome = await ask(client_of(server.url, proxy=proxy, ca_file=str(ca_file)))
        assert ("refreshed", "ok") == kind(outcome)
        assert f"CONNECT 127.0.0.1:{server.port} HTTP/1.1".encode() in seen[0]
        assert TOKEN.encode() not in b"".join(seen)
        assert [TOKEN] == [dict(one.form)["refresh_token"] for one in server.requests]

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_a_proxy_that_wants_a_password_blames_the_client(self, scheme: str) -> None:
        """407 is a matter for the operator; no person is asked to log in, and a tunnel never saw the token."""
        async with RawServer(answering(response(b"", status=407))) as proxy:
            client = client_of(f"{scheme}://provider.invalid/token", proxy=f"http://u:hush@127.0.0.1:{proxy.port}")
            outcome = await ask(client)
        assert isinstance(outcome, Misconfigured)
        assert "hush" not in outcome.detail
        assert (scheme == "http") == (TOKEN.encode() in proxy.received)

    @pytest.mark.parametrize("status", [502, 503, 504])
    async def test_a_proxy_that_cannot_reach_the_provider_is_waited_for(self, status: int) -> None:
        """No tunnel, no request: nothing was sent, and the client is not to blame."""
        async with RawServer(answering(response(b"", status=status))) as proxy:
            client = client_of("https://provider.invalid/token", proxy=f"http://127.0.0.1:{proxy.port}")
            outcome = await ask(client)
        assert "deferred" == label(outcome)
        assert TOKEN.encode() not in proxy.received

    async def test_a_proxy_that_is_down_is_waited_for(self) -> None:
        """A refused connection to the proxy sent nothing to anybody."""
        client = client_of("http://provider.invalid/token", proxy=f"http://127.0.0.1:{free_port()}")
        assert "deferred" == label(await ask(client))

    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
    async def test_the_environment_names_no_proxy(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Secrets do not take a way that nobody configured."""
        async with RawServer() as proxy, RawServer() as server:
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            outcome = await ask(client_of(server.url))
        assert ("refreshed", "ok") == kind(outcome)
        assert (0, 1) == (proxy.accepted, len(server.requests))


@asynccontextmanager
async def tunnel() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy that knows CONNECT alone; yields its address and every chunk that clients sent."""
    seen: list[bytes] = []
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, record: bool) -> None:
        try:
            while data := await reader.read(65_536):
                if record:
                    seen.append(data)
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        host, _, port = head.split()[1].decode().rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        tasks.add(asyncio.create_task(pump(reader, far_writer, record=True)))
        tasks.add(asyncio.create_task(pump(far_reader, writer, record=False)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _first_bytes(listener: socket.socket) -> bytes:
    """What the next connection begins with; then it is closed."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        return connection.recv(4)


def _read_late(listener: socket.socket, accepted: Event, *, after: float) -> int:
    """How many bytes come of a request whose reading begins late."""
    connection, _ = listener.accept()
    accepted.set()
    time.sleep(after)
    total = 0
    with connection, contextlib.suppress(ConnectionError):
        connection.settimeout(2.0)
        while data := connection.recv(65536):
            total += len(data)
    return total
