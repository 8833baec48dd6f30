"""The suite's TCP proxy with one trouble more: a line that breaks in the middle of what the client sends."""

import asyncio
import contextlib

from tests.components.tcp_proxy import TcpProxy, _reset
from tests.programme.lines.plan import Case, Trouble

_CHUNK = 65_536


class BreakableLine(TcpProxy):
    """`cut_requests_after`: each connection is reset once that many bytes of requests have passed. Healed by `heal`."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self._request_limit: int | None = None

    def cut_requests_after(self, length: int) -> None:
        self._request_limit = length

    def start(self, case: Case) -> None:
        """Begin that trouble."""
        match case.trouble:
            case Trouble.LATENCY:
                self.latency(case.latency)
            case Trouble.BLACKHOLE:
                self.blackhole()
            case Trouble.REFUSE:
                self.refuse()
            case Trouble.RESET:
                self.reset()
            case Trouble.SEVER:
                self.sever()
            case Trouble.CUT_ANSWERS:
                self.cut_after(case.bytes)
            case Trouble.CUT_REQUESTS:
                self.cut_requests_after(case.bytes)
            case Trouble.DOWN:
                self.down()

    def heal(self) -> None:
        """End any trouble."""
        self._request_limit = None
        self.pass_through()
        self.up()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        if answers:
            await super()._pump(reader, writer, answers=True)
            return
        passed = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._hold()
                await asyncio.sleep(self._conduct.latency)
                limit = self._request_limit
                if limit is not None and passed + len(data) > limit:
                    writer.write(data[: max(0, limit - passed)])
                    await asyncio.sleep(0)
                    await self._break_both(writer)
                    return
                writer.write(data)
                await writer.drain()
                passed += len(data)
            await self._hold()
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()

    async def _break_both(self, far: asyncio.StreamWriter) -> None:
        """The far end sees a reset at once; the near end when its own pump meets the broken line."""
        _reset(far)
        await asyncio.sleep(0)
