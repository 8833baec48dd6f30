"""`TokenReader`, for programs with threads or without."""

import inspect
import logging
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, wait
from datetime import timedelta
from typing import Any, TypeVar

from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import NoPermissionError

from refreshd_client import clock
from refreshd_client.keys import DEFAULT_PREFIX, Keys
from refreshd_client.looking import Command, Entry, look
from refreshd_client.memory import LONGEST, Memory, checked_id, checked_max_age, in_seconds, request
from refreshd_client.rule import WAIT, Step, newer, obtain
from refreshd_client.token import Token

T = TypeVar("T")
_log = logging.getLogger("refreshd_client")


class TokenReader:
    """Reads tokens through any redis-py client: standalone, a Sentinel's `master_for`, or Cluster. Threads may share one.

    `prefix` is the daemon's `redis.key_prefix`. `max_age`: how long a token may be served without asking Redis, at most a second,
    0 for never. The client stays its owner's: time-outs, retries and closing are decided there.
    """

    def __init__(
        self, redis: "Redis | RedisCluster", *, prefix: str = DEFAULT_PREFIX, max_age: timedelta | float = LONGEST
    ) -> None:
        if inspect.iscoroutinefunction(getattr(redis, "execute_command", None)):
            raise TypeError("this is an asyncio client; give it to AsyncTokenReader")
        self._redis: Any = redis
        self._keys = Keys(prefix)
        self._max_age = checked_max_age(max_age)
        self._memory = Memory()
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}
        self._may_ask = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self._keys.prefix!r})"

    def get(self, credential_id: str, *, min_valid: timedelta | float = 0, wait: timedelta | float = 0) -> Token:
        """The current token, with at least `min_valid` of its life left. Raises `TokenUnavailable`, or redis-py's errors.

        `wait`: for how long to wait where waiting may help: no living token, or too short a life, for which a refresh is
        then asked. By default it does not wait.
        """
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
        return self._take(credential_id, steps)

    def wait_for_newer(self, credential_id: str, than: int, *, wait: timedelta | float = WAIT) -> Token | None:
        """After a 401 with the token of generation `than`: a newer one, or None when none came within `wait`.

        Reads again at once, and after half a second asks the daemon for a refresh.
        """
        steps = newer(than, wait=in_seconds(wait, "wait"), clock=clock.seconds)
        return self._take(checked_id(credential_id), steps)

    def request_refresh(self, credential_id: str, generation: int) -> None:
        """Tell the daemon that an API refused the token of this generation. Told once in ten seconds, however often called."""
        if not self._may_ask or not self._memory.first_request(credential_id, generation, clock.seconds()):
            return
        try:
            self._send((request(self._keys, checked_id(credential_id), generation),))
        except NoPermissionError:
            self._may_ask = False
            _log.warning("no right to write to %s: refused tokens are waited for, not asked for", self._keys.requests)

    def _take(self, credential_id: str, steps: Generator[Step, Entry, T]) -> T:
        step = next(steps)
        while True:
            if step.ask is not None:
                self.request_refresh(credential_id, step.ask)
            if step.pause:
                time.sleep(step.pause)
            entry = self._look(credential_id, clock.seconds() - step.max_age)
            try:
                step = steps.send(entry)
            except StopIteration as done:
                result: T = done.value
                return result

    def _look(self, credential_id: str, not_before: float) -> Entry:
        """A look not older than that. Threads that want one at the same time share it, and its error.

        One that began too early for us is waited for all the same, so that all who wait then share the next.
        """
        while True:
            with self._lock:
                entry = self._memory.entries.get(credential_id)
                if entry is not None and entry.read_at >= not_before:
                    return entry
                flight = self._flights.get(credential_id)
                ours = flight is None
                if flight is None:
                    flight = self._flights[credential_id] = _Flight(clock.seconds())
            if ours:
                return self._fly(credential_id, flight)
            wait([flight.landed])
            if flight.began_at >= not_before and not flight.landed.cancelled():
                return flight.landed.result()

    def _fly(self, credential_id: str, flight: "_Flight") -> Entry:
        try:
            entry = self._read(credential_id, flight.began_at)
            self._memory.keep(credential_id, entry)
            flight.landed.set_result(entry)
        except Exception as exc:
            flight.landed.set_exception(exc)
            raise
        finally:
            with self._lock:
                del self._flights[credential_id]
            flight.landed.cancel()  # does nothing but after an interrupt, which is this thread's alone: the others look themselves
        return entry

    def _read(self, credential_id: str, read_at: float) -> Entry:
        looking = look(self._keys, credential_id, read_at)
        commands = next(looking)
        while True:
            replies = self._send(commands)
            try:
                commands = looking.send(replies)
            except StopIteration as done:
                entry: Entry = done.value
                return entry

    def _send(self, commands: Sequence[Command]) -> Sequence[Any]:
        with self._redis.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            replies: Sequence[Any] = pipe.execute()
        return replies


class _Flight:
    """A look under way."""

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.landed: Future[Entry] = Future()
