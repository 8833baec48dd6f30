"""HTTP at its barest: one keep-alive connection as an asyncio protocol that believes whatever the benchmark's provider sends."""

import asyncio
from typing import cast


class Line(asyncio.Protocol):
    """One request at a time. No time-outs, no checks: this is the floor, not a client."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._seen = b""
        self._missing = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # a stream transport: we connected by TCP

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if self._missing < 0:
            end = self._seen.find(b"\r\n\r\n")
            if end < 0:
                return
            start = self._seen.index(b"Content-Length: ") + 16
            self._missing = int(self._seen[start : self._seen.index(b"\r\n", start)])
            self._seen = self._seen[end + 4 :]
        if len(self._seen) >= self._missing and self._answer is not None:
            body, self._seen, self._missing = self._seen, b"", -1
            self._answer.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    async def post(self, request: bytes) -> bytes:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer
