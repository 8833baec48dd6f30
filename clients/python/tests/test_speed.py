"""A get from memory against a round trip to Redis on the same machine, measured in turns."""

import time
from collections.abc import Callable

import redis

from refreshd_client import TokenReader
from written_by_hand import ID, publish

ROUNDS, GETS, TRIPS = 40, 500, 25
LEAST = 20


def test_a_cached_get_is_twenty_times_cheaper_than_a_round_trip(store: redis.Redis) -> None:
    """The median of pairs taken in turns, so that a busy machine slows both."""
    publish(store)
    reader = TokenReader(store)
    key = f"refreshd:token:{ID}"
    ratios = []
    for _ in range(ROUNDS):
        reader.get(ID)
        cached = _each(lambda: reader.get(ID, min_valid=5), GETS)
        trip = _each(lambda: store.hget(key, "access_token"), TRIPS)
        ratios.append(trip / cached)
    median = sorted(ratios)[ROUNDS // 2]
    print(
        f"a cached get is {median:.0f} times cheaper than HGET; last: {cached * 1e6:.2f} us against {trip * 1e6:.0f} us"
    )
    assert median >= LEAST


def _each(work: Callable[[], object], times: int) -> float:
    """Seconds for one."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times
