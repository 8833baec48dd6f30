"""A consumer's view: how long after the provider's answer a new token can be read in Redis."""

import time
from types import TracebackType
from typing import Any, cast

from redis import Redis

from tests.components.companion import Companion

_BLOCK_MS = 100


class Watcher(Companion):
    """Follows the stream of events and reads each token that it tells of. The provider dates its tokens (see provider.c)."""

    def __init__(self, redis_url: str, *, prefix: str = "refreshd") -> None:
        super().__init__(name="watcher")
        self._redis = Redis.from_url(redis_url, decode_responses=True, protocol=2)
        self._prefix = prefix
        self._delays: list[float] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._redis.close()

    def take(self) -> list[float]:
        """Seconds from answer to visible, of every refresh since the last call."""
        delays, self._delays = self._delays, []
        return delays

    def _accompany(self) -> None:
        last = "$"
        while not self._over.is_set():
            found = cast("Any", self._redis.xread({f"{self._prefix}:events": last}, block=_BLOCK_MS, count=1000))
            seen_at = time.time()
            entries = found[0][1] if found else []
            if entries:
                last = entries[-1][0]
                self._delays += self._ages([fields["id"] for _, fields in entries if "id" in fields], seen_at)

    def _ages(self, names: list[str], seen_at: float) -> list[float]:
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(f"{self._prefix}:token:{name}", "access_token")
            tokens = [str(token or "").partition(".")[0] for token in pipe.execute()]
        return [seen_at - int(stamp) / 1e6 for stamp in tokens if stamp.isdigit()]


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed; nan of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
