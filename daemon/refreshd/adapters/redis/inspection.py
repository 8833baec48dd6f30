"""One look at Redis without writing, for who asks whether the daemon could publish there."""

from dataclasses import dataclass
from typing import Any, cast

from refreshd.adapters.redis.connecting import Place
from refreshd.adapters.redis.keys import Keyspace
from refreshd.adapters.redis.link import Link
from refreshd.adapters.redis.servers import Servers
from refreshd.ports.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """`store_id`: whose keys these are, None if nobody's. `may_ask`: whether the servers tell of themselves."""

    store_id: str | None
    evicting: str
    may_ask: bool


async def inspect(place: Place, *, prefix: str, clock: Clock) -> Inspection:
    """Raises `PublisherUnavailable`."""
    link, servers = Link(place), Servers(clock)
    try:
        async with link.call():
            store_id = await cast("Any", link.redis.hget(Keyspace(prefix).meta, "store_id"))
            policy = await servers.evicting(link.redis)
            may_ask = bool(await servers.run_ids(link.redis))
    finally:
        await link.aclose()
    return Inspection(store_id=store_id, evicting=policy, may_ask=may_ask)
