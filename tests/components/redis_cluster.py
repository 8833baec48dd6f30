"""A Redis Cluster of three primaries, each with a replica if asked; its nodes can be killed, frozen and emptied one by one."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import redis
from redis.cluster import ClusterNode, RedisCluster

from tests.components.ports import free_port
from tests.components.redis_server import RedisServer

_BOUNDS = (0, 5461, 10923, 16384)
_PRIMARIES = len(_BOUNDS) - 1
_READY_SECONDS = 20.0
_NODE_TIMEOUT_MS = 1500


class ClusterGroup:
    """A context manager. `nodes` are the primaries, then their replicas in the same order."""

    def __init__(self, *, replicas: bool = False, options: Sequence[str] = ()) -> None:
        self._count = 2 * _PRIMARIES if replicas else _PRIMARIES
        self._options = tuple(options)
        self.nodes: list[RedisServer] = []
        self._clients: list[RedisCluster] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            buses = [free_port() for _ in range(self._count)]
            for bus in buses:
                options = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--repl-diskless-sync-delay", "0"]
                options += ["--cluster-node-timeout", str(_NODE_TIMEOUT_MS), *self._options]
                self.nodes.append(stack.enter_context(RedisServer(options=options)))
            self._join(buses)
            stack.callback(self._close_clients)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", node.port) for node in self.nodes]

    def client(self, *, without: int | None = None) -> RedisCluster:
        """One that answers in strings, and does not ask the node of that number where the slots are; closed with the cluster."""
        untyped: Any = ClusterNode
        nodes = [untyped(host, port) for number, (host, port) in enumerate(self.addresses) if number != without]
        made = RedisCluster(startup_nodes=nodes, decode_responses=True, socket_timeout=2)
        self._clients.append(made)
        return made

    def holder(self, key: str) -> RedisServer:
        """The primary that holds the key, as the cluster was made."""
        slot = int(self._ask(0, "CLUSTER", "KEYSLOT", key))
        return self.nodes[next(number for number in range(_PRIMARIES) if slot < _BOUNDS[number + 1])]

    def wait_until_ok(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not all(self._is_ok(number) for number in range(self._count)):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster did not come up")
            time.sleep(0.05)

    def _join(self, buses: Sequence[int]) -> None:
        for number, (first, after) in enumerate(pairwise(_BOUNDS)):
            self._ask(number, "CLUSTER", "ADDSLOTSRANGE", first, after - 1)
            self._ask(number, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number in range(1, self._count):
            self._ask(0, "CLUSTER", "MEET", "127.0.0.1", self.nodes[number].port, buses[number])
        self.wait_until_ok()
        for number in range(_PRIMARIES, self._count):
            self._ask(number, "CLUSTER", "REPLICATE", self._ask(number - _PRIMARIES, "CLUSTER", "MYID"))
        self.wait_until_ok()

    def _is_ok(self, number: int) -> bool:
        """The state alone is not enough: a node without slots has to have met all others."""
        try:
            found = str(self._ask(number, "CLUSTER", "INFO"))
            replicates = (
                number < _PRIMARIES
                or "role:slave" not in (info := str(self._ask(number, "INFO", "replication")))
                or "master_link_status:up" in info
            )
        except (redis.RedisError, OSError):
            return False
        return "cluster_state:ok" in found and f"cluster_known_nodes:{self._count}" in found and replicates

    def _ask(self, number: int, *command: Any) -> Any:
        client: Any = self.nodes[number].client()
        answer = client.execute_command(*command)
        return "\n".join(f"{name}:{value}" for name, value in answer.items()) if isinstance(answer, dict) else answer

    def _close_clients(self) -> None:
        for client in self._clients:
            client.close()
