"""A provider's own word about itself over a real wire: found at either place, believed only if it is what was asked for."""

import asyncio
import json
from pathlib import Path

import pytest

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.discovery import HttpDiscovery
from refreshd.domain.outcome import Deferred, Misconfigured
from refreshd.ports.discovery import Discovered
from tests.components.oidc_server import OidcServer
from tests.components.ports import free_port
from tests.integration.certificates import self_signed
from tests.integration.raw_server import Handler, RawRequest, RawServer, answering, response
from tests.integration.test_token_endpoint import SHORT, client_of


async def fetch(issuer: str, *, ca_file: str | None = None) -> Discovered | Deferred | Misconfigured:
    client = client_of("", ca_file=ca_file)
    async with Connections([client], limit=2, user_agent="refreshd/0") as connections:
        return await HttpDiscovery(connections, timeout=SHORT).fetch(client, issuer)


def origin(server: RawServer) -> str:
    return server.url.removesuffix("/token")


def at(path: str, document: dict[str, object] | bytes, *, otherwise: bytes | None = None) -> Handler:
    """A server that has this document there, and elsewhere answers 404."""

    async def handle(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        found = request.line.split()[1] == path
        writer.write(response(body) if found else otherwise or response(b"no such page", status=404))
        await writer.drain()

    return handle


async def test_a_real_provider_is_found_by_its_issuer(oidc: OidcServer) -> None:
    """Every endpoint, and that its answers to logins name it (RFC 9207)."""
    found = await fetch(oidc.url)
    assert isinstance(found, Discovered)
    metadata = found.metadata
    assert (oidc.token_endpoint, oidc.authorization_endpoint) == (
        metadata.token_endpoint,
        metadata.authorization_endpoint,
    )
    assert (oidc.revocation_endpoint, oidc.userinfo_endpoint) == (
        metadata.revocation_endpoint,
        metadata.userinfo_endpoint,
    )
    assert (True, ("S256",)) == (metadata.iss_in_response, metadata.code_challenge_methods)
    assert 0 == oidc.stats().token_requests


@pytest.mark.parametrize("first", [None, response(b"<html>our single page app</html>")])
async def test_a_provider_without_openid_is_found_at_the_place_of_rfc_8414(first: bytes | None) -> None:
    """Between host and path; a page for people at OpenID's place is no answer."""
    async with RawServer() as server:
        issuer = f"{origin(server)}/t/1"
        document: dict[str, object] = {"issuer": issuer, "token_endpoint": f"{issuer}/token"}
        server._handle = at("/.well-known/oauth-authorization-server/t/1", document, otherwise=first)
        found = await fetch(issuer)
    assert isinstance(found, Discovered)
    assert f"{issuer}/token" == found.metadata.token_endpoint
    assert "GET /t/1/.well-known/openid-configuration HTTP/1.1" == server.requests[0].line
    assert [] == [name for one in server.requests for name in one.headers if name in ("authorization", "cookie")]


async def test_a_document_that_lies_about_its_issuer_is_refused_and_the_other_place_not_asked() -> None:
    """Whoever answers so at the first place may answer at the second, too."""
    async with RawServer(
        answering(response(b'{"issuer": "https://evil.example", "token_endpoint": "https://e.example"}'))
    ) as one:
        found = await fetch(origin(one))
    assert isinstance(found, Misconfigured)
    assert "metadata_refused" == found.code
    assert "https://evil.example" in found.detail
    assert 1 == len(one.requests)


async def test_an_endpoint_that_could_be_listened_to_is_refused() -> None:
    """Http beyond this machine: the secret would cross the network for all to read."""
    async with RawServer() as server:
        issuer = origin(server)
        document: dict[str, object] = {"issuer": issuer, "token_endpoint": "http://login.example/token"}
        server._handle = at("/.well-known/openid-configuration", document)
        found = await fetch(issuer)
    assert isinstance(found, Misconfigured)
    assert "only https is used" in found.detail


async def test_a_redirect_is_not_followed() -> None:
    """It could lead to anybody's document; the person is told where it pointed from."""
    async with RawServer() as target, RawServer() as server:
        moved = response(b"", status=302, headers=f"Location: {target.url}\r\n")
        server._handle = answering(moved)
        found = await fetch(origin(server))
    assert isinstance(found, Misconfigured)
    assert ("metadata_missing", []) == (found.code, target.requests)
    assert "it answered 302" in found.detail


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_provider_in_trouble_is_asked_again_later(status: int) -> None:
    """Nothing is wrong with the configuration."""
    async with RawServer(answering(response(b"", status=status))) as server:
        found = await fetch(origin(server))
    assert isinstance(found, Deferred)
    assert f"http_{status}" == found.code


async def test_nobody_there_and_no_answer_are_for_later_too() -> None:
    """Refused at once, or silent until the deadline for both places together."""
    assert isinstance(await fetch(f"http://127.0.0.1:{free_port()}"), Deferred)

    async def hang(_request: RawRequest, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with RawServer(hang) as server:
        found = await fetch(origin(server))
    assert isinstance(found, Deferred)
    assert "deadline" == found.code


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    """64 KiB, then the connection is dropped."""
    async with RawServer(answering(response(b'{"x": "' + b"y" * 10_000_000 + b'"}'))) as server:
        found = await fetch(origin(server))
    assert isinstance(found, Misconfigured)
    assert "longer than 64 KiB" in found.detail


async def test_a_certificate_that_nobody_trusts_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    """With ca_file it is trusted; without, nothing that comes over it is believed."""
    context, certificate = self_signed(tmp_path)
    async with RawServer(tls=context) as server:
        issuer = origin(server)
        server._handle = at(
            "/.well-known/openid-configuration", {"issuer": issuer, "token_endpoint": f"{issuer}/token"}
        )
        found = await fetch(issuer)
        assert isinstance(found, Misconfigured)
        assert "certificate" == found.code
        assert isinstance(await fetch(issuer, ca_file=str(certificate)), Discovered)
