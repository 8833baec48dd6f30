"""A Redis Cluster's clients, which send a pipeline node by node."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from socket import socket
from typing import Any

import pytest
import redis
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.cluster import RedisCluster

from refreshd_client import AsyncTokenReader, Reason, TokenReader, TokenUnavailable
from written_by_hand import FIRST, ID, SECOND, asked, publish

HIGHEST_PORT = 55_000
"""The cluster bus listens 10,000 above the port."""


@pytest.fixture
def port() -> Iterator[int]:
    """One node that holds all slots."""
    directory = Path(tempfile.mkdtemp(prefix="redis-"))
    port = _free_port()
    options = ["--cluster-enabled", "yes", "--save", "", "--dir", str(directory)]
    server = subprocess.Popen(["redis-server", "--port", str(port), *options], stdout=subprocess.DEVNULL)
    try:
        _form(port)
        yield port
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(directory)


def _free_port() -> int:
    for _ in range(100):
        with socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port <= HIGHEST_PORT:
            return port
    raise RuntimeError("no free port below the cluster bus' highest")


def _form(port: int) -> None:
    until = time.monotonic() + 20
    with redis.Redis(port=port) as node:
        while time.monotonic() < until:
            try:
                info: Any = node.execute_command("CLUSTER INFO")
                if info["cluster_state"] == "ok":
                    return
                if info["cluster_slots_assigned"] == "0":
                    node.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            except redis.ConnectionError:
                pass
            time.sleep(0.05)
    raise RuntimeError("no cluster")


def test_the_reader_works_on_a_cluster(port: int) -> None:
    """A token, a reason, a request, a newer token."""
    with redis.Redis(port=port) as node, RedisCluster(host="127.0.0.1", port=port) as cluster:
        reader = TokenReader(cluster, max_age=0)
        with pytest.raises(TokenUnavailable) as caught:
            reader.get(ID)
        assert Reason.UNKNOWN_ID is caught.value.reason
        publish(node)
        assert FIRST == reader.get(ID).access_token
        assert None is reader.wait_for_newer(ID, 1, wait=0.6)
        publish(node, SECOND, 2)
        newer = reader.wait_for_newer(ID, 1)
        assert newer is not None
        assert (SECOND, [{"id": ID, "generation": "1"}]) == (newer.access_token, asked(node))


async def test_the_async_reader_works_on_a_cluster(port: int) -> None:
    """The same."""
    with redis.Redis(port=port) as node:
        async with AsyncRedisCluster(host="127.0.0.1", port=port) as cluster:
            reader = AsyncTokenReader(cluster, max_age=0)
            with pytest.raises(TokenUnavailable) as caught:
                await reader.get(ID)
            assert Reason.UNKNOWN_ID is caught.value.reason
            publish(node)
            assert FIRST == (await reader.get(ID)).access_token
            assert None is await reader.wait_for_newer(ID, 1, wait=0.6)
            publish(node, SECOND, 2)
            newer = await reader.wait_for_newer(ID, 1)
            assert newer is not None
            assert (SECOND, [{"id": ID, "generation": "1"}]) == (newer.access_token, asked(node))
