"""Connections to providers: one pool for each client, so that one provider's trouble is nobody else's.

Requests go to the transport as they are: redirects, cookies and authentication are what `httpx.AsyncClient` adds, and a third
of a request's CPU.
"""

import ssl
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import httpx

from refreshd.adapters.oauth.aiohttp_transport import AiohttpTransport
from refreshd.adapters.oauth.unpacking import unpacked
from refreshd.domain.client import Client
from refreshd.domain.credential import ClientName
from refreshd.domain.token_response import MAX_BODY

_PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class Received:
    """What has arrived, kept outside the exchange so that an interruption loses nothing of it."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = b""

    @property
    def oversized(self) -> bool:
        return len(self.body) > MAX_BODY

    def decoded(self) -> bytes:
        """The body, unpacked within the same cap if the server compressed it although we asked it not to."""
        packed = self.headers.get("content-encoding", "identity").strip().lower() in _PACKED
        return unpacked(self.body) if packed else self.body


class Connections:
    """No redirects, no cookies, no retries, no environment. `limit`: connections of one pool."""

    def __init__(self, clients: Iterable[Client], *, limit: int, user_agent: str) -> None:
        self._clients = clients
        self._limit = limit
        self._headers = {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}
        self._stack = AsyncExitStack()
        self._transports: dict[ClientName, AiohttpTransport] = {}

    async def __aenter__(self) -> Self:
        for client in self._clients:
            transport = AiohttpTransport(
                verify=ssl.create_default_context(cafile=client.ca_file), limit=self._limit, proxy=client.proxy or None
            )
            self._transports[client.name] = await self._stack.enter_async_context(transport)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def fetch(self, name: ClientName, request: httpx.Request, received: Received) -> None:
        """Send, and read the answer into `received` up to its cap. No deadline of its own; raises what the transport raises."""
        request.headers.update(self._headers)
        response = await self._transports[name].handle_async_request(request)
        try:
            received.status = response.status_code
            received.headers = dict(response.headers.items())
            async for chunk in response.aiter_raw():
                received.body += chunk
                if received.oversized:
                    break
        finally:
            await response.aclose()
