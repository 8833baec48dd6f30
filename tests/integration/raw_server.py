"""HTTP spoken by hand on loopback: for what a real server never does, and to see the bytes that arrive."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

TOKENS = {"access_token": "new-access", "token_type": "bearer", "expires_in": 3600, "refresh_token": "new-refresh"}
"""What a well-behaved provider answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRequest:
    """One request as it arrived. `headers` have lower-case names; a name that came twice keeps every value."""

    line: str
    headers: dict[str, list[str]]
    body: bytes

    @property
    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode(), keep_blank_values=True)


Handler = Callable[[RawRequest, asyncio.StreamWriter], Awaitable[None]]


def response(body: bytes | None = None, *, status: int = 200, headers: str = "", length: int | None = None) -> bytes:
    """An answer in bytes; `length` claims another body length than the true one."""
    body = json.dumps(TOKENS).encode() if body is None else body
    claimed = len(body) if length is None else length
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {claimed}\r\n{headers}\r\n"
    return head.encode() + body


def answering(*answers: bytes) -> Handler:
    """A handler that gives these answers in turn, the last one for ever."""
    waiting = list(answers) or [response()]

    async def handle(_request: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(waiting.pop(0) if len(waiting) > 1 else waiting[0])
        await writer.drain()

    return handle


class RawServer:
    """An async context manager on an ephemeral port. `received` is every byte that came, `requests` what they meant."""

    def __init__(self, handle: Handler | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self._handle = handle or answering()
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        self.requests: list[RawRequest] = []
        self.received = b""
        self.accepted = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/token"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.accepted += 1
        try:
            while not writer.is_closing() and (request := await self._read(reader)) is not None:
                self.requests.append(request)
                await self._handle(request, writer)
        except (OSError, asyncio.CancelledError):  # the other side went, or the test is over
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> RawRequest | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as exc:
            self.received += exc.partial
            return None
        self.received += head
        line, *lines = head.decode().rstrip("\r\n").split("\r\n")
        headers: dict[str, list[str]] = {}
        for text in lines:
            name, _, value = text.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        body = await reader.readexactly(int(headers.get("content-length", ["0"])[0]))
        self.received += body
        return RawRequest(line=line, headers=headers, body=body)
