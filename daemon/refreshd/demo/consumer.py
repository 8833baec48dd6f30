"""A consumer that reads every token four times a second, as other processes would, and remembers what it saw."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

EVERY = 0.25


@dataclass(slots=True)
class Seen:
    """One credential as its consumers saw it. `least_left`: the shortest remaining life at any look, in seconds."""

    id: str
    token: str = ""
    generation: int = 0
    expires_at: float = 0.0
    changes: int = 0
    unreadable: int = 0
    least_left: float = float("inf")

    @property
    def published(self) -> bool:
        return self.generation > 0


class Consumer:
    """Polls `PREFIX:token:ID` for every id; calls `on_change` when a token changed."""

    def __init__(self, url: str, *, prefix: str, ids: Sequence[str], on_change: Callable[[Seen], None]) -> None:
        self._url = url
        self._prefix = prefix
        self._on_change = on_change
        self.seen = {name: Seen(id=name) for name in ids}

    async def run(self) -> None:
        """Until cancelled."""
        async with Redis.from_url(self._url, decode_responses=True, protocol=2, socket_timeout=5) as redis:
            while True:
                for seen in self.seen.values():
                    fields = await cast("Any", redis.hgetall(f"{self._prefix}:token:{seen.id}"))
                    self._look(seen, fields)
                await asyncio.sleep(EVERY)

    def _look(self, seen: Seen, fields: dict[str, str]) -> None:
        left = float(fields.get("expires_at", 0)) - time.time()
        if "access_token" not in fields or left <= 0:
            seen.unreadable += seen.published  # counts from the first publication on
            return
        seen.least_left = min(seen.least_left, left)
        if fields["access_token"] == seen.token:
            return
        seen.changes += seen.published
        seen.token = fields["access_token"]
        seen.generation = int(fields["generation"])
        seen.expires_at = float(fields["expires_at"])
        self._on_change(seen)
