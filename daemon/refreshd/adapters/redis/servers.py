"""What the servers say of themselves: which processes they are, and whether they may drop keys. An ACL may hide it."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ResponseError

from refreshd.adapters.redis.link import AWAY
from refreshd.ports.clock import Clock

# The policy under which a full Redis refuses writes instead of dropping keys.
SAFE_POLICY = "noeviction"
REST = 60.0


class Servers:
    """Asks the primaries behind a client. Once refused, it rests: each refusal is a line in an operator's ACL LOG."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rests_until = 0.0

    async def run_ids(self, redis: Redis) -> str:
        """One text for the processes that hold our keys; another after a restart or a failover. "" where that is hidden."""
        return " ".join(sorted(str(one.get("run_id", "")) for one in await self._info(redis, "server")))

    async def evicting(self, redis: Redis) -> str:
        """The policy by which a server may drop keys of ours; "" if none does, or where that is hidden."""
        found = {str(one.get("maxmemory_policy", "")) for one in await self._info(redis, "memory")}
        return ", ".join(sorted(found - {SAFE_POLICY, ""}))

    async def _info(self, redis: Redis, section: str) -> Sequence[Mapping[str, Any]]:
        """Of each primary; nothing when refused. One that does not answer fails all: its keys are out of reach."""
        if self._clock.monotonic() < self._rests_until:
            return ()
        try:
            if isinstance(untyped := cast("Any", redis), RedisCluster):
                found = await untyped.execute_command("INFO", section, target_nodes=RedisCluster.PRIMARIES)
            else:
                found = await redis.info(section)
        except AWAY:
            raise
        except ResponseError:
            self._rests_until = self._clock.monotonic() + REST
            return ()
        inner = [one for one in found.values() if isinstance(one, Mapping) and _is_answer(one)]
        return inner or [found]


def _is_answer(fields: Mapping[str, Any]) -> bool:
    """Whether this is a server's answer, and not one field of it that holds fields of its own."""
    return "run_id" in fields or "maxmemory_policy" in fields
