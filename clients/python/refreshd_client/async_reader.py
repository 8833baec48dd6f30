"""`AsyncTokenReader`, for asyncio."""

import asyncio
import inspect
import logging
from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoPermissionError

from refreshd_client import clock
from refreshd_client.keys import DEFAULT_PREFIX, Keys
from refreshd_client.looking import Command, Entry, look
from refreshd_client.memory import LONGEST, Memory, checked_id, checked_max_age, in_seconds, request
from refreshd_client.rule import WAIT, Step, newer, obtain
from refreshd_client.token import Token

T = TypeVar("T")
_log = logging.getLogger("refreshd_client")


class AsyncTokenReader:
    """`TokenReader` for one event loop, through any `redis.asyncio` client. Tasks share it; what they mean is the same."""

    def __init__(
        self, redis: "Redis | RedisCluster", *, prefix: str = DEFAULT_PREFIX, max_age: timedelta | float = LONGEST
    ) -> None:
        if not inspect.iscoroutinefunction(getattr(redis, "execute_command", None)):
            raise TypeError("this is no asyncio client; give it to TokenReader")
        self._redis: Any = redis
        self._keys = Keys(prefix)
        self._max_age = checked_max_age(max_age)
        self._memory = Memory()
        self._flights: dict[str, tuple[float, asyncio.Task[Entry]]] = {}
        self._may_ask = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self._keys.prefix!r})"

    async def get(self, credential_id: str, *, min_valid: timedelta | float = 0, wait: timedelta | float = 0) -> Token:
        """As `TokenReader.get`."""
        life = in_seconds(min_valid, "min_valid") if min_valid else 0.0
        entry = self._memory.entries.get(credential_id)
        if entry is not None and entry.token is not None:
            now = clock.seconds()
            if now - entry.read_at < self._max_age and entry.lives(now, life):
                return entry.token
        patience = in_seconds(wait, "wait")
        steps = obtain(
            checked_id(credential_id), max_age=self._max_age, min_valid=life, wait=patience, clock=clock.seconds
        )
        return await self._take(credential_id, steps)

    async def wait_for_newer(self, credential_id: str, than: int, *, wait: timedelta | float = WAIT) -> Token | None:
        """As `TokenReader.wait_for_newer`."""
        steps = newer(than, wait=in_seconds(wait, "wait"), clock=clock.seconds)
        return await self._take(checked_id(credential_id), steps)

    async def request_refresh(self, credential_id: str, generation: int) -> None:
        """As `TokenReader.request_refresh`."""
        if not self._may_ask or not self._memory.first_request(credential_id, generation, clock.seconds()):
            return
        try:
            await self._send((request(self._keys, checked_id(credential_id), generation),))
        except NoPermissionError:
            self._may_ask = False
            _log.warning("no right to write to %s: refused tokens are waited for, not asked for", self._keys.requests)

    async def _take(self, credential_id: str, steps: Generator[Step, Entry, T]) -> T:
        step = next(steps)
        while True:
            if step.ask is not None:
                await self.request_refresh(credential_id, step.ask)
            if step.pause:
                await asyncio.sleep(step.pause)
            entry = await self._look(credential_id, clock.seconds() - step.max_age)
            try:
                step = steps.send(entry)
            except StopIteration as done:
                result: T = done.value
                return result

    async def _look(self, credential_id: str, not_before: float) -> Entry:
        """A look not older than that. Tasks that want one at the same time share it, and its error; none can cancel it."""
        while True:
            entry = self._memory.entries.get(credential_id)
            if entry is not None and entry.read_at >= not_before:
                return entry
            began_at, flight = self._flights.get(credential_id) or self._start(credential_id)
            if began_at >= not_before:
                return await asyncio.shield(flight)
            await asyncio.wait({flight})  # it began too early for us; its error is not ours either

    def _start(self, credential_id: str) -> tuple[float, asyncio.Task[Entry]]:
        began_at = clock.seconds()
        task = asyncio.create_task(self._read(credential_id, began_at), name=f"read token {credential_id}")

        def landed(task: asyncio.Task[Entry]) -> None:
            del self._flights[credential_id]
            if not task.cancelled() and task.exception() is None:
                self._memory.keep(credential_id, task.result())

        task.add_done_callback(landed)
        self._flights[credential_id] = (began_at, task)
        return self._flights[credential_id]

    async def _read(self, credential_id: str, read_at: float) -> Entry:
        looking = look(self._keys, credential_id, read_at)
        commands = next(looking)
        while True:
            replies = await self._send(commands)
            try:
                commands = looking.send(replies)
            except StopIteration as done:
                entry: Entry = done.value
                return entry

    async def _send(self, commands: Sequence[Command]) -> Sequence[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            replies: Sequence[Any] = await pipe.execute()
        return replies
