"""A program that reads tokens from Redis, as refreshd's users write it."""

import time
from collections.abc import Sequence
from typing import Any, cast

from redis import Redis

from tests.components.companion import Companion

EVERY = 0.25


class PollingConsumer(Companion):
    """Polls every token each 250 ms in a thread. `faults`: looks after the first publication that found none living."""

    def __init__(self, redis: Redis, ids: Sequence[str]) -> None:
        super().__init__(name="consumer")
        self._redis = redis
        self._ids = ids
        self.generations: dict[str, int] = {}
        self.changes: dict[str, int] = dict.fromkeys(ids, 0)
        self.tokens: set[str] = set()
        self.looks = 0
        self.faults: list[str] = []
        self.errors: list[Exception] = []

    def _accompany(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                self._look()
            except Exception as exc:  # noqa: BLE001 - told to the test, which fails on it
                self.errors.append(exc)
                return
            self._over.wait(max(0.0, EVERY - (time.monotonic() - began)))

    def _look(self) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for name in self._ids:
                pipe.hgetall(f"refreshd:token:{name}")
            answers = cast("list[dict[str, Any]]", pipe.execute())
        now = time.time()
        for name, fields in zip(self._ids, answers, strict=True):
            known = self.generations.get(name)
            if "access_token" not in fields:
                if known is not None:
                    self.faults.append(f"{name}: missing after generation {known}")
                continue
            self.looks += 1
            if float(fields["expires_at"]) + 1 <= now:  # expires_at is floored to a second
                self.faults.append(f"{name}: expired {now - float(fields['expires_at']):.2f} s ago")
            generation = int(fields["generation"])
            if known is not None and generation < known:
                self.faults.append(f"{name}: generation went back from {known} to {generation}")
            self.changes[name] += known is not None and generation > known
            self.generations[name] = generation
            self.tokens.add(fields["access_token"])
