"""`RevocationEndpoint` over HTTP: one request (RFC 7009 §2.1). Asking twice does no harm, so nothing here has to be certain."""

import asyncio
import ssl

import aiohttp

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.requests import form_request
from refreshd.adapters.oauth.scrubbing import scrubbed
from refreshd.adapters.oauth.transport import Exchange, Received
from refreshd.domain.client import Client
from refreshd.domain.revocation import NotRevocable, NotRevokedYet, RevocationOutcome, Revoked, read_revocation_answer
from refreshd.domain.secret import Secret
from refreshd.domain.token_response import Answer
from refreshd.ports.clock import Clock

_FAULTS = (aiohttp.ClientError, OSError)
_BAD_ADDRESS = (aiohttp.InvalidURL, ValueError)


class HttpRevocationEndpoint:
    """`connections` must know every client that is asked for."""

    def __init__(self, connections: Connections, *, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    async def revoke(self, client: Client, refresh_token: Secret) -> RevocationOutcome:
        if client.revocation_endpoint is None:
            return NotRevocable(code="no_revocation_endpoint")
        form = [("token", refresh_token.reveal()), ("token_type_hint", "refresh_token")]
        received = Received()
        try:
            async with asyncio.timeout(client.request_timeout.total_seconds()):
                request = form_request(client, client.revocation_endpoint, form, Exchange())
                await self._connections.fetch(client.name, request, received)
        except TimeoutError:
            return NotRevokedYet(code="deadline")
        except _BAD_ADDRESS:
            return NotRevocable(code="invalid_url")
        except _FAULTS as exc:
            return NotRevokedYet(code=_code(exc), detail=_fit(str(exc), refresh_token, client))
        outcome = read_revocation_answer(
            Answer(status=received.status, headers=received.headers, body=received.decoded()),
            now=self._clock.now(),
            rejection_codes=client.rejection_codes,
        )
        match outcome:
            case NotRevokedYet(code=code, retry_after=wait, detail=detail):
                return NotRevokedYet(code=code, retry_after=wait, detail=_fit(detail, refresh_token, client))
            case NotRevocable(code=code, detail=detail):
                return NotRevocable(code=code, detail=_fit(detail, refresh_token, client))
            case Revoked():
                return outcome


def _code(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError | aiohttp.ClientConnectorCertificateError):
        return "certificate"
    return "unreachable" if isinstance(exc, aiohttp.ClientConnectorError) else "connection_lost"


def _fit(detail: str, refresh_token: Secret, client: Client) -> str:
    own = (client.client_secret,) if client.client_secret else ()
    return scrubbed(detail, (refresh_token, *own))
