"""`Requests` on a Redis stream with a consumer group: each entry goes to one replica, and is deleted when it is dealt with."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, cast

from redis.exceptions import RedisError, ResponseError

from refreshd.adapters.redis.connecting import Place, connect
from refreshd.adapters.redis.keys import Keyspace
from refreshd.domain.requests import parse
from refreshd.ports.requests import Entry, RequestsUnavailable

GROUP = "refreshd"
CONSUMER = "refreshd"
"""One name for all replicas: Redis gives each entry out once whatever the name, and a name per start would stay there for ever."""
BATCH = 1000
LEFT_AFTER = timedelta(seconds=30)
"""An entry held for longer than any living replica holds one was left by a dead one."""
CALL_TIMEOUT = 5.0
_BLOCK_LIMIT = timedelta(seconds=2)
_LOST = ("NOGROUP", "UNBLOCKED")

Found = list[tuple[str, dict[str, str] | None]]


class RedisRequests:
    """Reads one prefix of one Redis, on a connection of its own, as reading blocks. `store_id`: whose keys may be ours."""

    def __init__(self, place: Place, *, prefix: str, store_id: str) -> None:
        self._client = connect(place, name="refreshd-requests", socket_timeout=_BLOCK_LIMIT.total_seconds() + 2)
        self._redis = self._client.redis
        self._keys = Keyspace(prefix)
        self._store_id = store_id
        self._grouped = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def read(self, *, wait: timedelta) -> Sequence[Entry]:
        """While the keys are another store's, its requests are none of ours (protocol R11)."""
        async with _reachable():
            await self._client.follow()
            owner = await cast("Any", self._redis.hget(self._keys.meta, "store_id"))
            if owner == self._store_id:
                found = await self._read(min(wait, _BLOCK_LIMIT))
                return [Entry(key=key, request=parse(fields or {})) for key, fields in found]
        await asyncio.sleep(wait.total_seconds())
        return []

    async def strike(self, entries: Sequence[Entry]) -> None:
        """A crash between the two leaves an entry that is given out no more, and that the cap removes."""
        keys = [entry.key for entry in entries]
        if not keys:
            return
        async with _reachable(), self._redis.pipeline(transaction=False) as pipe:
            pipe.xack(self._keys.requests, GROUP, *keys)
            pipe.xdel(self._keys.requests, *keys)
            await pipe.execute()

    async def _read(self, wait: timedelta) -> Found:
        try:
            if not self._grouped:
                await self._make_group()
            return await self._left() or await self._new(wait)
        except ResponseError as exc:
            if not str(exc).startswith(_LOST):  # else the stream is gone: a flush, or somebody deleted it
                raise
            self._grouped = False
            return []

    async def _left(self) -> Found:
        """What a dead replica had taken."""
        idle = LEFT_AFTER // timedelta(milliseconds=1)
        answer = await self._redis.xautoclaim(self._keys.requests, GROUP, CONSUMER, idle, count=BATCH)
        entries = cast("list[tuple[str | None, dict[str, str] | None]]", answer[1])
        return [(key, fields) for key, fields in entries if key is not None]  # Redis 6.2 tells of deleted ones so

    async def _new(self, wait: timedelta) -> Found:
        """What nobody has taken. A server that does not block, as the demo's, must not make us spin."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        milliseconds = wait // timedelta(milliseconds=1)
        reading = self._redis.xreadgroup(
            GROUP, CONSUMER, {self._keys.requests: ">"}, count=BATCH, block=milliseconds or None
        )
        answer = await cast("Any", reading)
        if answer:
            return cast("Found", answer[0][1])
        await asyncio.sleep(max(0.0, began + wait.total_seconds() - loop.time()))
        return []

    async def _make_group(self) -> None:
        """From the first entry on: what was asked for before we came counts too, and old generations are seen to be old."""
        try:
            await self._redis.xgroup_create(self._keys.requests, GROUP, id="0", mkstream=True)
        except ResponseError as exc:
            if not str(exc).startswith("BUSYGROUP"):  # another replica was first
                raise
        self._grouped = True


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    """Every fault of the far side becomes `RequestsUnavailable`, with a text that holds no address and no password."""
    try:
        async with asyncio.timeout(_BLOCK_LIMIT.total_seconds() + CALL_TIMEOUT):
            yield
    except (RedisError, OSError) as exc:  # OSError covers time-outs and refused connections
        text = str(exc).splitlines()[0] if isinstance(exc, ResponseError) else ""
        raise RequestsUnavailable(f"{type(exc).__name__} {text}".strip()) from None
