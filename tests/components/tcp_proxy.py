"""A TCP proxy whose line can be made slow, silent or broken: the network between two components.

It runs an event loop in a thread of its own, so synchronous tests can turn its switches.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from tests.components.ports import free_port

_SWITCH_SECONDS = 5.0
_CHUNK = 65_536
_LINGER_ZERO = struct.pack("ii", 1, 0)

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Line(StrEnum):
    """How the line treats what passes."""

    OPEN = "open"
    BLACKHOLE = "blackhole"
    REFUSE = "refuse"
    RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Conduct:
    line: Line = Line.OPEN
    latency: float = 0.0
    cut_after: int | None = None


class TcpProxy:
    """A context manager; listens on loopback and passes everything on until told otherwise.

    Each switch replaces the one before and is in force when it returns. `pass_through` heals any of them but `down`.
    """

    def __init__(self, host: str, port: int) -> None:
        """`host` and `port` are where the line leads."""
        self._upstream = (host, port)
        self._conduct = _Conduct()
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._listener: socket.socket | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.accepted = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SWITCH_SECONDS)
        self._loop.close()

    def pass_through(self) -> None:
        """Everything passes at once, also what a blackhole held back."""
        self._switch(_Conduct())

    def latency(self, seconds: float) -> None:
        """Each chunk, in both directions, waits before it passes."""
        self._switch(_Conduct(latency=seconds))

    def blackhole(self) -> None:
        """Connections are accepted and stay open, and nothing passes."""
        self._switch(_Conduct(line=Line.BLACKHOLE))

    def refuse(self) -> None:
        """New connections are accepted and closed at once; live ones go on."""
        self._switch(_Conduct(line=Line.REFUSE))

    def reset(self) -> None:
        """Live connections are reset, and so is every new one."""
        self._switch(_Conduct(line=Line.RESET))
        self._call(self._sever)

    def sever(self) -> None:
        """Live connections are reset, once; new ones are treated as before."""
        self._call(self._sever)

    def cut_after(self, length: int) -> None:
        """Each connection is reset once `length` more bytes of answers have passed."""
        self._switch(_Conduct(cut_after=length))

    def down(self) -> None:
        """Nobody listens: the kernel refuses new connections, live ones are reset."""
        self._call(self._go_down)

    def up(self) -> None:
        """Listen again on the same port, and pass everything."""
        self._switch(_Conduct())
        self._call(self._listen)

    def _call(self, action: Callable[[], Coroutine[None, None, None]]) -> None:
        asyncio.run_coroutine_threadsafe(action(), self._loop).result(_SWITCH_SECONDS)

    def _switch(self, conduct: _Conduct) -> None:
        async def turn() -> None:
            self._conduct = conduct
            self._changed.set()
            self._changed = asyncio.Event()

        self._call(turn)

    async def _listen(self) -> None:
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(0)
        self.port = self.port or free_port()
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self._listener = listener
        self._loop.add_reader(listener, self._accept, listener)

    async def _go_down(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self._sever()

    async def _close(self) -> None:
        await self._go_down()
        connections = tuple(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _sever(self) -> None:
        for writer in tuple(self._writers):
            _reset(writer)

    def _accept(self, listener: socket.socket) -> None:
        """By hand: a server of asyncio that closes while it accepts leaks the connection."""
        try:
            near, _ = listener.accept()
        except OSError:  # gone again before its turn
            return
        self.accepted += 1
        if self._conduct.line is Line.RESET:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        if self._conduct.line in {Line.RESET, Line.REFUSE}:
            near.close()
            return
        near.settimeout(0)
        connection = self._loop.create_task(self._join(near), name=f"tcp-proxy-{self.accepted}")
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        connection.add_done_callback(lambda _: near.close())  # also when it was cancelled before it began

    async def _join(self, near: socket.socket) -> None:
        async with self._streams(asyncio.open_connection(sock=near)) as (near_reader, near_writer):
            try:
                opening = self._streams(asyncio.open_connection(*self._upstream))
                async with opening as (far_reader, far_writer):
                    await asyncio.gather(
                        self._pump(near_reader, far_writer, answers=False),
                        self._pump(far_reader, near_writer, answers=True),
                    )
            except OSError:  # nobody at the far end
                _reset(near_writer)

    @contextlib.asynccontextmanager
    async def _streams(self, opening: Coroutine[None, None, _Streams]) -> AsyncIterator[_Streams]:
        reader, writer = await opening
        self._writers.add(writer)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._writers.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        conduct, passed = self._conduct, 0
        with contextlib.suppress(OSError):  # either end may go away at any moment: that is what a proxy is for
            while data := await reader.read(_CHUNK):
                await self._hold()
                if conduct is not self._conduct:
                    conduct, passed = self._conduct, 0
                await asyncio.sleep(conduct.latency)
                if answers and conduct.cut_after is not None and passed + len(data) > conduct.cut_after:
                    writer.write(data[: conduct.cut_after - passed])
                    await asyncio.sleep(0)  # the loop hands the rest to the kernel before the reset
                    _reset(writer)
                    return
                writer.write(data)
                await writer.drain()
                passed += len(data)
            await self._hold()
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()

    async def _hold(self) -> None:
        while self._conduct.line is Line.BLACKHOLE:
            await self._changed.wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    writer.transport.abort()
