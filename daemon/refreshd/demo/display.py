"""What a person sees: a live table on a terminal, one line per change elsewhere."""

import asyncio
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from refreshd.demo.consumer import Seen

EVERY = 0.5
SHOWN = 20


class Display:
    """Shows tokens change. Only their first characters, as an example of what a consumer reads."""

    def __init__(self, prefix: str, redis_url: str, lifetime: int) -> None:
        self._console = Console()
        self._title = f"tokens in Redis ({redis_url.rpartition('@')[2]}), keys {prefix}:token:ID"
        self._lifetime = lifetime
        self._live: Live | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            self._live = self._stack.enter_context(Live(console=self._console, auto_refresh=False, transient=False))
        else:
            self._console.print(self._title, highlight=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def changed(self, seen: Seen) -> None:
        if self._live is None:
            left = seen.expires_at - time.time()
            line = f"{time.strftime('%H:%M:%S')}  {seen.id}  generation {seen.generation}  {_start(seen)}  {left:.0f} s left"
            self._console.print(line, highlight=False)

    async def run(self, seen: Mapping[str, Seen]) -> None:
        """Redraw until cancelled."""
        while True:
            if self._live is not None:
                self._live.update(self._table(seen), refresh=True)
            await asyncio.sleep(EVERY)

    def _table(self, seen: Mapping[str, Seen]) -> Table:
        table = Table(title=self._title, title_justify="left", box=None, pad_edge=False)
        for column in ("credential", "generation", "access token", "life left"):
            table.add_column(column)
        for one in list(seen.values())[:SHOWN]:
            left = max(0.0, one.expires_at - time.time())
            bar = ProgressBar(total=self._lifetime, completed=left, width=24)
            table.add_row(one.id, str(one.generation or "-"), _start(one), bar)
        if len(seen) > SHOWN:
            table.add_row(f"and {len(seen) - SHOWN} more", "", "", "")
        return table


def _start(seen: Seen) -> str:
    return f"{seen.token[:8]}..." if seen.token else "-"
