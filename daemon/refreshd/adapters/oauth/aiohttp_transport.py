"""An httpx transport over aiohttp that knows one thing for certain: whether a request's first byte has left.

httpx's own transport costs five times the CPU; httpx-aiohttp names a dropped answer "connect timeout", which would spend
a refresh token twice (docs/decisions/0002-transport.md). Here nothing is judged by an exception's name.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

import aiohttp
import httpx
from yarl import URL

from refreshd.adapters.oauth.wire_tap import TappedConnector, Wire, current_wire

IDLE_SECONDS = 2.0  # a server that closes an idle connection must not meet our next request on it
CONNECT_SECONDS = 10.0
MAX_HEAD = 64 * 1024


class Exchange:
    """What happened to one request so far. `may_send` is asked once, right before the first byte."""

    def __init__(self, may_send: Callable[[], bool]) -> None:
        self.sent = False
        self.refused = False
        self.wire = Wire()
        self._may_send = may_send

    def first_byte(self) -> None:
        if not self._may_send():
            self.refused = True
            raise Unsent
        self.sent = True


_current: ContextVar[Exchange | None] = ContextVar("_current", default=None)
"""The exchange that this task is about to send."""


class Unsent(Exception):  # noqa: N818 - reads as what it says
    """The guard said no: the connection is dropped before anything is written."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One pool of connections for one client. No redirects, no cookies, no retries, no decompression."""

    def __init__(self, *, verify: ssl.SSLContext, limit: int, proxy: str | None) -> None:
        self._verify = verify
        self._limit = limit
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=TappedConnector(
                limit=self._limit, ssl=self._verify, keepalive_timeout=IDLE_SECONDS, ttl_dns_cache=30
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # would also read ~/.netrc into an Authorization header
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            request_class=_GuardedRequest,
            skip_auto_headers=("User-Agent",),
            max_line_size=MAX_HEAD,
            max_field_size=MAX_HEAD,
            max_headers=1024,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        exc: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises aiohttp's exceptions as they are; `request.extensions["exchange"]` says what they can mean."""
        if self._session is None:
            raise RuntimeError("the transport is not open")
        exchange: Exchange = request.extensions["exchange"]
        current_wire.set(exchange.wire)  # this task's own: a request is a task of its own
        _current.set(exchange)
        response = await self._session.request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=request.headers.multi_items(),
            data=await request.aread(),
            allow_redirects=False,
            proxy=self._proxy,
        )
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response), request=request)


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._finished = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.content.iter_any():
            yield chunk
        self._finished = True

    async def aclose(self) -> None:
        if self._finished:
            self._response.release()
        else:
            self._response.close()


class _GuardedRequest(aiohttp.ClientRequest):
    """Asks right before the first byte: the connection stands, and `send` is what writes to it."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        if (exchange := _current.get()) is not None:
            exchange.first_byte()
        return await super().send(conn)
