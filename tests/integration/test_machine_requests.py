"""A client asking for itself over a real wire."""

from dataclasses import replace

from refreshd.domain.client import AuthMethod, Client, ClientIdIn, GrantType
from refreshd.domain.outcome import Outcome, Refreshed
from refreshd.domain.secret import Secret
from tests.components.oidc_server import SECRETS, OidcServer
from tests.integration.raw_server import RawServer
from tests.integration.test_token_endpoint import client_of, kind, opened


async def obtain(client: Client) -> Outcome:
    async with opened(client) as endpoint:
        return await endpoint.obtain(client, may_send=lambda: True)


def service(url: str, secret: str = SECRETS["svc"], **fields: object) -> Client:
    values: dict[str, object] = {"auth_method": AuthMethod.BASIC, "client_id": "svc", "scope": "read", **fields}
    return client_of(url, client_secret=Secret(secret), grant=GrantType.CLIENT_CREDENTIALS, **values)


async def test_a_real_provider_gives_a_token_and_no_refresh_token(oidc: OidcServer) -> None:
    """RFC 6749 §4.4, with the configured scope."""
    outcome = await obtain(service(oidc.token_endpoint))
    assert isinstance(outcome, Refreshed)
    assert (True, None, "read") == (outcome.access is not None, outcome.refresh_token, outcome.scope)


async def test_a_real_provider_refuses_a_wrong_secret(oidc: OidcServer) -> None:
    """As it refuses it of any client."""
    assert ("misconfigured", "invalid_client") == kind(await obtain(service(oidc.token_endpoint, "wrong")))


async def test_adobe_gets_id_and_secret_in_the_form() -> None:
    """As Adobe documents it for server-to-server credentials; its comma-separated scopes pass as they are."""
    client = service("", auth_method=AuthMethod.POST, scope="openid,AdobeID", client_id_in=ClientIdIn.QUERY)
    async with RawServer() as server:
        await obtain(replace(client, token_endpoint=server.url))
    [request] = server.requests
    assert "authorization" not in request.headers
    assert "POST /token HTTP/1.1" == request.line
    assert [
        ("grant_type", "client_credentials"),
        ("scope", "openid,AdobeID"),
        ("client_id", "svc"),
        ("client_secret", SECRETS["svc"]),
    ] == request.form


async def test_without_a_scope_none_is_asked_for() -> None:
    """The provider chooses."""
    async with RawServer() as server:
        await obtain(service(server.url, scope=""))
    assert "scope" not in dict(server.requests[0].form)
