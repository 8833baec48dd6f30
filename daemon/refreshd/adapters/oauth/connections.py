"""Connections to providers: one pool for each client, so that one provider's trouble is nobody else's."""

import ssl
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from refreshd.adapters.oauth.transport import Received, Request, Transport
from refreshd.domain.client import Client
from refreshd.domain.credential import ClientName


class Connections:
    """`limit`: connections of one pool."""

    def __init__(self, clients: Iterable[Client], *, limit: int, user_agent: str) -> None:
        self._clients = clients
        self._limit = limit
        self._headers = {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}
        self._stack = AsyncExitStack()
        self._transports: dict[ClientName, Transport] = {}

    async def __aenter__(self) -> Self:
        for client in self._clients:
            transport = Transport(
                verify=ssl.create_default_context(cafile=client.ca_file),
                limit=self._limit,
                proxy=client.proxy or None,
                headers=self._headers,
            )
            self._transports[client.name] = await self._stack.enter_async_context(transport)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def fetch(self, name: ClientName, request: Request, received: Received) -> None:
        """As `Transport.send`, over that client's connections."""
        await self._transports[name].send(request, received)
