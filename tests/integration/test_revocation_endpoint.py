"""One revocation over a real wire: the token is dead afterwards, and each failure means what it should."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.revocation import HttpRevocationEndpoint
from refreshd.adapters.oauth.token_endpoint import HttpTokenEndpoint
from refreshd.adapters.system_clock import SystemClock
from refreshd.domain.client import AuthMethod, Client
from refreshd.domain.credential import ClientName
from refreshd.domain.outcome import Refreshed, Rejected
from refreshd.domain.revocation import NotRevocable, NotRevokedYet, RevocationOutcome, Revoked
from refreshd.domain.secret import Secret
from tests.components.oidc_server import SECRETS, OidcServer
from tests.components.ports import free_port
from tests.integration.raw_server import RawRequest, RawServer, answering, response

TOKEN = Secret("the-refresh-token")


def client_of(oidc: OidcServer | None, method: AuthMethod = AuthMethod.NONE, **fields: Any) -> Client:
    names = {AuthMethod.BASIC: "conf", AuthMethod.POST: "post", AuthMethod.NONE: "pub"}
    secret = SECRETS.get(names[method])
    values: dict[str, Any] = {
        "name": ClientName("acme"),
        "token_endpoint": oidc.token_endpoint if oidc else "http://127.0.0.1:1/token",
        "revocation_endpoint": oidc.revocation_endpoint if oidc else None,
        "auth_method": method,
        "client_id": names[method],
        "client_secret": Secret(secret) if secret else None,
        "request_timeout": timedelta(seconds=5),
        **fields,
    }
    return Client(**values)


@asynccontextmanager
async def connected(client: Client) -> AsyncIterator[Connections]:
    async with Connections([client], limit=4, user_agent="refreshd/test") as connections:
        yield connections


async def revoke(client: Client, token: Secret = TOKEN) -> RevocationOutcome:
    async with connected(client) as connections:
        return await HttpRevocationEndpoint(connections, clock=SystemClock()).revoke(client, token)


@pytest.mark.parametrize("method", list(AuthMethod))
async def test_the_token_is_really_dead_afterwards(oidc: OidcServer, method: AuthMethod) -> None:
    """By each way in which a client proves itself; the real server then refuses the token at its token endpoint."""
    client = client_of(oidc, method)
    (minted,) = oidc.mint(client.client_id)
    token = Secret(minted.refresh_token)
    async with connected(client) as connections:
        assert Revoked() == await HttpRevocationEndpoint(connections, clock=SystemClock()).revoke(client, token)
        tokens = HttpTokenEndpoint(connections, clock=SystemClock())
        outcome = await tokens.refresh(client, token, "", may_send=lambda: True)
    assert isinstance(outcome, Rejected)
    assert "invalid_grant" == outcome.code
    assert not oidc.ledger()[minted.grant_id].alive


async def test_a_rotated_successor_dies_alone(oidc: OidcServer) -> None:
    """The newest token of a family is what has to be revoked; another login of the same person lives on."""
    client = client_of(oidc, AuthMethod.BASIC)
    mine, other = oidc.mint("conf", 2)
    async with connected(client) as connections:
        tokens = HttpTokenEndpoint(connections, clock=SystemClock())
        fresh = await tokens.refresh(client, Secret(mine.refresh_token), "", may_send=lambda: True)
        assert isinstance(fresh, Refreshed)
        assert fresh.refresh_token is not None
        endpoint = HttpRevocationEndpoint(connections, clock=SystemClock())
        assert Revoked() == await endpoint.revoke(client, fresh.refresh_token)
    ledger = oidc.ledger()
    assert (False, True) == (ledger[mine.grant_id].alive, ledger[other.grant_id].alive)


async def test_an_unknown_token_and_a_second_time_are_success(oidc: OidcServer) -> None:
    """RFC 7009 §2.2: so asking again after a crash does no harm."""
    client = client_of(oidc, AuthMethod.BASIC)
    (minted,) = oidc.mint("conf")
    assert Revoked() == await revoke(client)
    assert Revoked() == await revoke(client, Secret(minted.refresh_token))
    assert Revoked() == await revoke(client, Secret(minted.refresh_token))


async def test_a_wrong_secret_may_be_mended(oidc: OidcServer) -> None:
    client = client_of(oidc, AuthMethod.BASIC, client_secret=Secret("wrong"))
    (minted,) = oidc.mint("conf")
    outcome = await revoke(client, Secret(minted.refresh_token))
    assert isinstance(outcome, NotRevokedYet)
    assert "invalid_client" == outcome.code
    assert oidc.ledger()[minted.grant_id].alive


async def test_a_wrong_address_is_a_plain_no(oidc: OidcServer) -> None:
    outcome = await revoke(client_of(oidc, revocation_endpoint=f"{oidc.url}/nowhere"))
    assert isinstance(outcome, NotRevocable)


async def test_without_an_endpoint_nothing_is_sent() -> None:
    assert NotRevocable(code="no_revocation_endpoint") == await revoke(client_of(None))


async def test_nobody_there_and_no_answer_are_asked_again() -> None:
    """A refused connection, and one that is taken and never answered, within the deadline."""
    gone = await revoke(client_of(None, revocation_endpoint=f"http://127.0.0.1:{free_port()}/revoke"))
    assert isinstance(gone, NotRevokedYet)
    assert "unreachable" == gone.code

    async def silent(_request: RawRequest, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with RawServer(silent) as server:
        mute = await revoke(
            client_of(None, revocation_endpoint=server.url, request_timeout=timedelta(seconds=0.3)),
        )
    assert NotRevokedYet(code="deadline") == mute


async def test_the_form_is_that_of_the_standard_and_an_echo_is_scrubbed() -> None:
    """`token` and `token_type_hint`; a server that repeats the token in its error brings it into no log."""
    body = b'{"error": "unsupported_token_type", "error_description": "no the-refresh-token here"}'
    async with RawServer(answering(response(body, status=400))) as server:
        outcome = await revoke(client_of(None, revocation_endpoint=server.url))
    assert isinstance(outcome, NotRevocable)
    assert "unsupported_token_type" == outcome.code
    assert "the-refresh-token" not in outcome.detail
    (request,) = server.requests
    assert {"token": "the-refresh-token", "token_type_hint": "refresh_token", "client_id": "pub"} == dict(request.form)
