"""`IdProbe` over HTTP: the beginning of a login that nobody goes on with. Nothing secret is sent."""

import asyncio
from urllib.parse import urlencode, urlsplit

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.failures import FAULTS
from refreshd.adapters.oauth.transport import Received, Request
from refreshd.domain.client import Client
from refreshd.domain.live_check import Reaction

_NOWHERE = "http://127.0.0.1/refreshd-check"  # no login ends there: nothing listens, and no provider has it registered
_CHALLENGE = (
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636's own example: servers that want PKCE go on to the id
)


class HttpIdProbe:
    """`connections` must know every client that is asked for."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def react(self, client: Client, endpoint: str, client_id: str) -> Reaction | None:
        query = urlencode(
            {
                "response_type": "code",
                "client_id": client_id,
                "redirect_uri": _NOWHERE,
                "code_challenge": _CHALLENGE,
                "code_challenge_method": "S256",
            }
        )
        url = f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"
        received = Received()
        try:
            async with asyncio.timeout(client.request_timeout.total_seconds()):
                await self._connections.fetch(client.name, Request(method="GET", url=url), received)
        except (TimeoutError, *FAULTS):
            return None
        where = urlsplit(received.headers.get("location", ""))
        place = f"{received.status} {where.netloc}{where.path}"
        text = received.decoded().decode("utf-8", "replace")
        return Reaction(place=place.replace(client_id, "***"), text=text.replace(client_id, "***"))
