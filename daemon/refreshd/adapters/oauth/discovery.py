"""`Discovery` over HTTP: a GET at either well-known place. A redirect is not followed: it could lead to anybody's document."""

import asyncio
from datetime import timedelta
from http import HTTPStatus

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.failures import FAULTS, name_of, unsent
from refreshd.adapters.oauth.transport import Received, Request
from refreshd.domain.client import Client
from refreshd.domain.metadata import MetadataRefused, NotMetadata, read_metadata, well_known
from refreshd.domain.outcome import Deferred, Misconfigured
from refreshd.ports.discovery import Discovered

TIMEOUT = timedelta(seconds=10)
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class HttpDiscovery:
    """`connections` must know every client that is asked for. `timeout` is for both places together."""

    def __init__(self, connections: Connections, *, timeout: timedelta = TIMEOUT) -> None:
        self._connections = connections
        self._timeout = timeout.total_seconds()

    async def fetch(self, client: Client, issuer: str) -> Discovered | Deferred | Misconfigured:
        met: list[str] = []
        try:
            async with asyncio.timeout(self._timeout):
                for place in well_known(issuer):
                    found = await self._look(client, place, issuer)
                    if not isinstance(found, str):
                        return found
                    met.append(f"{place}: {found}")
        except TimeoutError:
            return Deferred(code="deadline", detail=f"no answer within {self._timeout:g} s")
        return Misconfigured(code="metadata_missing", detail="; ".join(met))

    async def _look(self, client: Client, place: str, issuer: str) -> Discovered | Deferred | Misconfigured | str:
        """What stands at one place; a text: no metadata, and why that is known."""
        request, received = Request(method="GET", url=place), Received()
        try:
            await self._connections.fetch(client.name, request, received)
        except FAULTS as exc:
            return Deferred(code=name_of(exc), detail=f"{place}: {exc}") if request.exchange.sent else unsent(exc)
        status = received.status
        if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Deferred(code=f"http_{status}", detail=f"{place} answered {status}")
        if status != HTTPStatus.OK:
            return f"it answered {status}"
        return _read(received.decoded(), place, issuer)


def _read(body: bytes, place: str, issuer: str) -> Discovered | Misconfigured | str:
    try:
        metadata = read_metadata(body, issuer=issuer)
        document = body.decode()
    except NotMetadata as exc:
        return str(exc)
    except MetadataRefused as exc:
        return Misconfigured(code="metadata_refused", detail=f"{place}: {exc}")
    except UnicodeDecodeError:
        return "it is not UTF-8 text"
    return Discovered(document=document, metadata=metadata)
