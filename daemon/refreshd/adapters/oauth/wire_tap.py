"""What really came over a connection, kept beside what the HTTP library makes of it.

aiohttp drops a whole answer when anything about its framing is wrong, also what stands in front of the fault: bytes behind the
body, a chunk too few, a length that is one off. The refresh token in it may be the only living one (protocol R4).
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from refreshd.domain.token_response import MAX_BODY

_CAP = 2 * MAX_BODY
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,6})[ \t]*(?:;[^\r\n]*)?\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")

current_wire: ContextVar["Wire | None"] = ContextVar("current_wire", default=None)
"""The wire of the request that this task is sending."""


class Wire:
    """The bytes of one answer, up to a cap."""

    def __init__(self) -> None:
        self._seen = bytearray()

    def feed(self, data: bytes) -> None:
        self._seen += data[: _CAP - len(self._seen)]

    def answer(self) -> tuple[int, Mapping[str, str], bytes] | None:
        """Status, header fields (lower-case names) and body as far as it came; None without a status line.

        Interim answers do not count. Only for what the HTTP library has given up: nothing here is checked.
        """
        found = [line for line in _STATUS_LINE.finditer(self._seen) if not line[1].startswith(b"1")]
        if not found:
            return None
        end = found[1].start() if len(found) > 1 else len(self._seen)  # a second answer is not ours
        head, _, body = bytes(self._seen[found[0].end() : end]).partition(b"\r\n\r\n")
        pairs = (line.decode("latin-1").partition(":") for line in head.split(b"\r\n"))
        headers = {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}
        chunked = headers.get("transfer-encoding", "").lower().endswith("chunked")
        return int(found[0][1]), headers, _joined(body) if chunked else body


def _joined(chunks: bytes) -> bytes:
    """The body without its chunk sizes (RFC 9112 §7.1), up to where they stop making sense."""
    body, rest = b"", chunks
    while line := _CHUNK.match(rest):
        size = int(line[1], 16)
        body += rest[line.end() : line.end() + size]
        rest = rest[line.end() + size :].removeprefix(b"\r\n")
    return body or rest  # not chunked at all, whatever the header says


class TappedConnector(aiohttp.TCPConnector):
    """A connection pool whose connections show what they receive to the wire of the request that uses them.

    What comes while none does is an answer that nobody asked for. aiohttp would keep it for the next request, and so give one
    credential the tokens of another; here it ends the connection.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(_Tapped, loop=self._loop)  # type: ignore[assignment]  # a subclass of what it makes

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's signature
        connection = await super().connect(req, traces, timeout)
        if isinstance(connection.protocol, _Tapped):
            connection.protocol.wire, connection.protocol.idle = current_wire.get(), False
        return connection

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        if isinstance(protocol, _Tapped):
            protocol.wire, protocol.idle = None, True
        super()._release(key, protocol, should_close=should_close)


class _Tapped(ResponseHandler):
    wire: Wire | None = None
    idle = False

    def data_received(self, data: bytes) -> None:
        if self.idle and data:
            self.close()
            return
        if self.wire is not None:
            self.wire.feed(data)
        super().data_received(data)

    def set_exception(self, exc: BaseException, *cause: Any) -> None:
        """A body that cannot go on ends here, not at the deadline: aiohttp tells the reader of a broken head only."""
        super().set_exception(exc, *cause)
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientPayloadError("the answer is broken"))
