"""`Redirects` through a person: on a server the browser runs elsewhere, and the address it was sent to is pasted back."""

import asyncio
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from refreshd.domain.authorization import AuthorizationCode, AuthorizationRequest
from refreshd.domain.callback import Declined, MixedUp, NotOurs, read_pasted
from refreshd.domain.login import NoAnswer, Silence

MOST_TRIES = 5
_LONGEST_LINE = 64 * 1024


class PastedRedirects:
    """Reads lines from `descriptor`. Its thread may wait for ever and is not waited for: a read cannot be called off."""

    def __init__(self, redirect_uri: str, *, descriptor: int) -> None:
        self._redirect_uri = redirect_uri
        self._descriptor = descriptor
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def hand_over(line: str | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._lines.put_nowait, line)

        threading.Thread(target=_read_lines, args=(self._descriptor, hand_over), name="pasted", daemon=True).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    @property
    def redirect_uri(self) -> str:
        return self._redirect_uri

    async def receive(
        self, request: AuthorizationRequest, *, on_refused: Callable[[NotOurs], None]
    ) -> AuthorizationCode | Declined | MixedUp | NoAnswer:
        for _ in range(MOST_TRIES):
            line = await self._lines.get()
            while line is not None and not line.strip():
                line = await self._lines.get()
            if line is None:
                return NoAnswer(cause=Silence.END_OF_INPUT)
            found = read_pasted(line, request)
            if not isinstance(found, NotOurs):
                return found
            on_refused(found)
        return NoAnswer(cause=Silence.TOO_MANY_TRIES)

    async def conclude(self, *, stored: bool) -> None:
        """Nobody waits but the terminal, which is told anyway."""


def _read_lines(descriptor: int, hand_over: Callable[[str | None], None]) -> None:
    """Straight from the descriptor: a thread that waits inside `sys.stdin` would hold its lock when the process ends."""
    rest = b""
    while True:
        try:
            part = os.read(descriptor, 4096)
        except OSError:
            part = b""
        if not part:
            break
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            hand_over(line.decode(errors="replace"))
        if len(rest) > _LONGEST_LINE:
            break
    if rest.strip():
        hand_over(rest.decode(errors="replace"))
    hand_over(None)
