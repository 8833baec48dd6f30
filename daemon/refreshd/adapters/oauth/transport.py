"""HTTP requests over aiohttp, and one thing known of each for certain: whether its first byte has left.

Nothing is judged by an exception's name: a library that calls a dropped answer "connect timeout" would have a refresh token
spent twice (docs/decisions/0002-transport.md).
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from refreshd.adapters.oauth.unpacking import unpacked
from refreshd.adapters.oauth.wire_tap import TappedConnector, Wire, current_wire
from refreshd.domain.token_response import MAX_BODY

IDLE_SECONDS = 2.0  # a server that closes an idle connection must not meet our next request on it
CONNECT_SECONDS = 10.0
MAX_HEAD = 64 * 1024
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class Exchange:
    """What happened to one request so far. `may_send` is asked once, right before the first byte.

    `deliver_within`: after that the system itself gives up what the far side has not taken.
    """

    def __init__(self, may_send: Callable[[], bool] = lambda: True, *, deliver_within: timedelta | None = None) -> None:
        self.deliver_within = deliver_within
        self.sent = False
        self.refused = False
        self.wire = Wire()
        self._may_send = may_send

    def first_byte(self) -> None:
        if not self._may_send():
            self.refused = True
            raise Unsent
        self.sent = True


class Unsent(Exception):  # noqa: N818 - reads as what it says
    """The guard said no: the connection is dropped before anything is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `url`: a mistake in it is found when it is sent."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    exchange: Exchange = field(default_factory=Exchange)


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


class Transport:
    """One pool of connections. No redirects, no cookies, no retries, no decompression, nothing from the environment."""

    def __init__(self, *, verify: ssl.SSLContext, limit: int, proxy: str | None, headers: Mapping[str, str]) -> None:
        self._verify = verify
        self._limit = limit
        self._proxy = proxy
        self._headers = headers
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=TappedConnector(
                limit=self._limit, ssl=self._verify, keepalive_timeout=IDLE_SECONDS, ttl_dns_cache=30
            ),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # would also read ~/.netrc into an Authorization header
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            request_class=_GuardedRequest,
            max_line_size=MAX_HEAD,
            max_field_size=MAX_HEAD,
            max_headers=1024,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request, received: Received) -> None:
        """Send, and read the answer into `received` up to its cap. No deadline of its own.

        Raises aiohttp's exceptions as they are, `Unsent`, and `ValueError` for an address that is none; `request.exchange`
        says what they can mean.
        """
        if self._session is None:
            raise RuntimeError("the transport is not open")
        current_wire.set(request.exchange.wire)  # this task's own: a request is a task of its own
        _current.set(request.exchange)
        response = await self._session.request(
            request.method,
            _parsed(request.url),
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
            proxy=self._proxy,
        )
        finished = False
        try:
            received.status = response.status
            received.headers = _joined(response.headers)
            async for chunk in response.content.iter_any():
                received.body += chunk
                if received.oversized:
                    return
            finished = True
        finally:
            if finished:
                response.release()
            else:
                response.close()


_current: ContextVar[Exchange | None] = ContextVar("_current", default=None)
"""The exchange that this task is about to send."""


class _GuardedRequest(aiohttp.ClientRequest):
    """Asks right before the first byte. Without a body `send` writes it; with one `write_bytes` does, head and body at once.

    Before Python 3.12 the latter is a task of its own, a turn of the loop after `send`: time enough to be frozen in.
    """

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        if (exchange := _current.get()) is not None:
            if exchange.deliver_within is not None:
                _bound_delivery(conn.transport, exchange.deliver_within)
            if not self.body:
                exchange.first_byte()
        return await super().send(conn)

    async def write_bytes(self, writer: Any, conn: Any, content_length: int | None = None) -> None:
        if (exchange := _current.get()) is not None:
            try:
                exchange.first_byte()
            except Exception as refusal:  # noqa: BLE001 - raised again in the task that waits for the answer
                if conn.protocol is not None:
                    conn.protocol.set_exception(refusal)  # drops the connection too
                return
        await super().write_bytes(writer, conn, content_length)


def _bound_delivery(transport: Any, within: timedelta) -> None:
    """The system sends on for minutes, also for a process that stands still: a late copy would be taken for theft (protocol R8)."""
    if hasattr(socket, "TCP_USER_TIMEOUT") and (connected := transport.get_extra_info("socket")) is not None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(within.total_seconds() * 1000)))


@lru_cache
def _parsed(url: str) -> URL:
    """Percent-encodings stay as they are written."""
    return URL(url, encoded=url.isascii())


def _joined(headers: CIMultiDictProxy[str]) -> Mapping[str, str]:
    """By lower-case name; what came in several lines in one (RFC 9110 §5.3)."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found
