"""What a login asks of a provider over a real wire: tokens for a code, and whose they are."""

import asyncio
import json
from datetime import timedelta

import pytest

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.token_endpoint import HttpTokenEndpoint
from refreshd.adapters.oauth.userinfo import HttpUserinfo
from refreshd.adapters.system_clock import SystemClock
from refreshd.domain.authorization import AuthorizationCode
from refreshd.domain.client import AuthMethod, Client
from refreshd.domain.credential import ClientName
from refreshd.domain.login import Account, Unknown
from refreshd.domain.outcome import Outcome, Refreshed, Rejected
from refreshd.domain.secret import Secret
from refreshd.ports.token_endpoint import NotSent
from tests.components.ports import free_port
from tests.integration.raw_server import RawRequest, RawServer, answering, response

CODE = AuthorizationCode(
    code=Secret("the code/of+the=login"), verifier=Secret("the-verifier"), redirect_uri="http://127.0.0.1:8765/callback"
)


def client_of(url: str, *, secret: str | None = None) -> Client:
    return Client(
        name=ClientName("acme"),
        token_endpoint=url,
        auth_method=AuthMethod.BASIC if secret else AuthMethod.NONE,
        client_id="id",
        client_secret=Secret(secret) if secret else None,
        request_timeout=timedelta(seconds=5),
    )


async def redeem(client: Client, *, allow: bool = True) -> Outcome:
    async with Connections([client], limit=1, user_agent="refreshd/0") as connections:
        return await HttpTokenEndpoint(connections, clock=SystemClock()).redeem(client, CODE, may_send=lambda: allow)


async def whose(url: str, token: str = "the-access-token") -> Account | Unknown:
    client = client_of("http://127.0.0.1:1/token")
    async with Connections([client], limit=1, user_agent="refreshd/0") as connections:
        return await HttpUserinfo(connections).account(client, url, Secret(token))


class TestTheCode:
    """RFC 6749 §4.1.3 and RFC 7636 §4.5 to the byte."""

    @pytest.mark.parametrize("secret", [None, "s3cret"])
    async def test_the_request_proves_client_and_login(self, secret: str | None) -> None:
        """A confidential client proves itself, and shows its verifier all the same."""
        async with RawServer() as server:
            outcome = await redeem(client_of(server.url, secret=secret))
        [request] = server.requests
        assert [
            ("grant_type", "authorization_code"),
            ("code", "the code/of+the=login"),
            ("redirect_uri", "http://127.0.0.1:8765/callback"),
            ("code_verifier", "the-verifier"),
            *([] if secret else [("client_id", "id")]),
        ] == request.form
        assert bool(secret) == ("authorization" in request.headers)
        assert isinstance(outcome, Refreshed)
        assert Secret("new-refresh") == outcome.refresh_token

    async def test_a_no_before_the_first_byte_sends_none(self) -> None:
        """The code is still good."""
        async with RawServer() as server:
            with pytest.raises(NotSent):
                await redeem(client_of(server.url), allow=False)
        assert b"" == server.received

    async def test_a_server_that_echoes_what_it_was_sent_reaches_no_terminal(self) -> None:
        """Neither the code nor the verifier stands in the detail of a refusal."""

        async def echo(request: RawRequest, writer: asyncio.StreamWriter) -> None:
            fields = {"error": "invalid_grant", "error_description": request.body.decode()}
            writer.write(response(json.dumps(fields).encode(), status=400))
            await writer.drain()

        async with RawServer(echo) as server:
            outcome = await redeem(client_of(server.url))
        assert isinstance(outcome, Rejected)
        assert "the-verifier" not in outcome.detail
        assert "of%2Bthe" not in outcome.detail
        assert "&client_id=id" in outcome.detail


class TestWhose:
    """A provider's word for who logged in, and everything else it may say."""

    @pytest.mark.parametrize(
        ("fields", "account"),
        [
            ({"sub": "alice"}, "alice"),
            ({"id": "6f2c-17", "email": "a@b.example"}, "6f2c-17"),
            ({"sub": "alice", "id": "6f2c-17"}, "alice"),
            ({"sub": "", "id": 42}, "42"),
            ({"sub": None, "id": "x" * 255}, "x" * 255),
        ],
    )
    async def test_sub_or_id_names_the_account(self, fields: dict[str, object], account: str) -> None:
        """OpenID Connect Core §5.3.2, and Frame.io's /v2/me."""
        async with RawServer(answering(response(json.dumps(fields).encode()))) as server:
            assert Account(id=account) == await whose(server.url)
        [request] = server.requests
        assert request.line.startswith("GET ")
        assert ["Bearer the-access-token"] == request.headers["authorization"]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b'"alice"',
            b"{}",
            b'{"sub": true}',
            b'{"sub": ["alice"]}',
            b'{"sub": "  "}',
            b'{"sub": "a\\u001b[2Jb"}',
            b'{"sub": "\\ud800"}',
            b'{"sub": "' + b"x" * 256 + b'"}',
            b"[" * 100_000,
            b'{"sub": "alice", "x": "' + b"x" * 70_000 + b'"}',
            b"\xff\xfe{",
        ],
    )
    async def test_what_names_nobody_is_unknown(self, body: bytes) -> None:
        """Odd, too long, not to be printed: never a crash, never a guess."""
        async with RawServer(answering(response(body))) as server:
            assert isinstance(await whose(server.url), Unknown)

    @pytest.mark.parametrize("status", [201, 302, 401, 403, 404, 500])
    async def test_another_status_is_unknown_and_a_redirect_is_not_followed(self, status: int) -> None:
        """The token would go along to wherever it leads."""
        answer = response(b'{"sub": "alice"}', status=status, headers="Location: /elsewhere\r\n")
        async with RawServer(answering(answer)) as server:
            assert Unknown(reason=f"the userinfo endpoint answered {status}") == await whose(server.url)
        assert 1 == len(server.requests)

    async def test_nobody_there_is_unknown(self) -> None:
        """In words that hold no token."""
        found = await whose(f"http://127.0.0.1:{free_port()}/me")
        assert Unknown(reason="the userinfo endpoint could not be reached (client_connector)") == found
