"""The stream of requests in a real Redis: each entry to one replica, none lost with a replica, a flush or an outage."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from refreshd.adapters.redis import requests as adapter
from refreshd.adapters.redis.connecting import Direct
from refreshd.adapters.redis.requests import CONSUMER, GROUP, RedisRequests
from refreshd.domain.credential import CredentialId
from refreshd.domain.requests import RefreshRequest
from refreshd.domain.secret import Secret
from refreshd.ports.requests import Entry, RequestsUnavailable
from tests.components.redis_server import RedisServer

STREAM = "p:requests"
AT_ONCE = timedelta(0)
SOON = timedelta(milliseconds=200)
LONG = timedelta(seconds=2)


def made(url: str, store_id: str = "s1") -> RedisRequests:
    return RedisRequests(Direct(url=Secret(url)), prefix="p", store_id=store_id)


@pytest.fixture
def client(redis_server: RedisServer) -> redis.Redis:
    client = redis_server.client()
    client.hset("p:meta", "store_id", "s1")
    return client


@pytest.fixture
async def requests(redis_server: RedisServer, client: redis.Redis) -> AsyncIterator[RedisRequests]:
    del client
    async with made(redis_server.url) as one:
        yield one


def ask(client: redis.Redis, **fields: str) -> str:
    entry: Any = {"id": "a", "generation": "7", **fields}
    return str(client.xadd(STREAM, entry))


def asked(name: str = "a", generation: int = 7) -> RefreshRequest:
    return RefreshRequest(id=CredentialId(name), generation=generation)


def pending(client: redis.Redis) -> int:
    summary: Any = client.xpending(STREAM, GROUP)
    return int(summary["pending"])


async def test_a_request_is_read_once_and_struck_off(requests: RedisRequests, client: redis.Redis) -> None:
    """Also one that was left before any daemon ran."""
    key = ask(client)
    entries = await requests.read(wait=AT_ONCE)
    assert [Entry(key=key, request=asked())] == entries
    assert [] == await requests.read(wait=AT_ONCE)
    assert (1, 1) == (client.xlen(STREAM), pending(client))
    await requests.strike(entries)
    assert (0, 0) == (client.xlen(STREAM), pending(client))


async def test_a_request_wakes_who_waits(requests: RedisRequests, client: redis.Redis) -> None:
    """Nobody polls for it."""
    await requests.read(wait=AT_ONCE)
    reading = asyncio.create_task(requests.read(wait=LONG))
    await asyncio.sleep(0.2)
    began = asyncio.get_running_loop().time()
    ask(client)
    assert [asked()] == [entry.request for entry in await reading]
    assert asyncio.get_running_loop().time() - began < 0.5


async def test_an_idle_read_waits_as_long_as_it_was_told(requests: RedisRequests) -> None:
    """Neither a spin nor a stop."""
    began = asyncio.get_running_loop().time()
    assert [] == await requests.read(wait=SOON)
    assert 0.15 < asyncio.get_running_loop().time() - began < 1.5


async def test_each_entry_goes_to_one_of_several_replicas(
    requests: RedisRequests, redis_server: RedisServer, client: redis.Redis
) -> None:
    """The group sees to that; nobody else has to."""
    keys = {ask(client, id=f"c{number}") for number in range(300)}
    async with made(redis_server.url) as other:
        found = await asyncio.gather(*(one.read(wait=AT_ONCE) for one in (requests, other, requests, other)))
    got = [entry.key for entries in found for entry in entries]
    assert (300, keys) == (len(got), set(got))


async def test_what_a_dead_replica_had_taken_is_taken_over(
    requests: RedisRequests, redis_server: RedisServer, client: redis.Redis
) -> None:
    """Not before a living one could still be at work on it."""
    key = ask(client)
    async with made(redis_server.url) as dead:
        assert 1 == len(await dead.read(wait=AT_ONCE))
    assert [] == await requests.read(wait=AT_ONCE)
    client.xclaim(STREAM, GROUP, CONSUMER, 0, [key], idle=adapter.LEFT_AFTER // timedelta(milliseconds=1), justid=True)
    assert [asked()] == [entry.request for entry in await requests.read(wait=AT_ONCE)]
    assert [] == await requests.read(wait=AT_ONCE)


@pytest.mark.parametrize("harm", ["flush", "delete", "destroy"])
async def test_a_lost_group_is_made_anew(requests: RedisRequests, client: redis.Redis, harm: str) -> None:
    """Redis restarted empty, or somebody cleaned up, even while we wait: the next request is served."""
    await requests.read(wait=AT_ONCE)
    reading = asyncio.create_task(requests.read(wait=LONG))
    await asyncio.sleep(0.2)
    match harm:
        case "flush":
            client.flushall()
            client.hset("p:meta", "store_id", "s1")
        case "delete":
            client.delete(STREAM)
        case _:
            client.xgroup_destroy(STREAM, GROUP)
    assert [] == await reading
    ask(client)
    found = [*await requests.read(wait=AT_ONCE), *await requests.read(wait=AT_ONCE)]
    assert [asked()] == [entry.request for entry in found]


async def test_a_restart_of_redis_is_a_fault_and_then_forgotten(
    requests: RedisRequests, redis_server: RedisServer
) -> None:
    """The port's own exception, with no address in it; back again, everything works."""
    await requests.read(wait=AT_ONCE)
    redis_server.stop()
    with pytest.raises(RequestsUnavailable, match=r"^(ConnectionError|TimeoutError)$"):
        await requests.read(wait=AT_ONCE)
    with pytest.raises(RequestsUnavailable):
        await requests.strike([Entry(key="1-1", request=None)])
    redis_server.start()
    again = redis_server.client()
    again.hset("p:meta", "store_id", "s1")
    ask(again)
    found = [*await requests.read(wait=AT_ONCE), *await requests.read(wait=AT_ONCE)]
    assert [asked()] == [entry.request for entry in found]


@pytest.mark.parametrize("owner", [None, "s2"])
async def test_another_stores_requests_are_left_alone(
    redis_server: RedisServer, client: redis.Redis, owner: str | None
) -> None:
    """A daemon whose store does not own these keys must not eat what is meant for the one that does."""
    client.delete("p:meta")
    if owner:
        client.hset("p:meta", "store_id", owner)
    ask(client)
    async with made(redis_server.url) as stranger:
        assert [] == await stranger.read(wait=SOON)
    assert (1, []) == (client.xlen(STREAM), client.xinfo_groups(STREAM))


async def test_odd_entries_are_malformed_and_harm_no_other(requests: RedisRequests, client: redis.Redis) -> None:
    """Bytes that are no text, no fields of ours, an entry deleted by hand after it was taken."""
    client.xadd(STREAM, {b"id": b"\xff\xfe", b"generation": b"7"})
    client.xadd(STREAM, {"x": "y"})
    ask(client)
    entries = await requests.read(wait=AT_ONCE)
    assert [None, None, asked()] == [entry.request for entry in entries]
    client.xdel(STREAM, entries[0].key)
    await requests.strike(entries)
    assert (0, 0) == (client.xlen(STREAM), pending(client))


async def test_a_key_of_another_kind_is_named(requests: RedisRequests, client: redis.Redis) -> None:
    """Somebody else's string under that name: a fault in words, never a crash."""
    client.set(STREAM, "mine")
    with pytest.raises(RequestsUnavailable, match="WRONGTYPE"):
        await requests.read(wait=AT_ONCE)


async def test_the_writers_rights_are_enough(redis_server: RedisServer, client: redis.Redis) -> None:
    """With an ACL user who may do just that, and nothing that only newer servers know."""
    rights = "+hget +xreadgroup +xgroup|create +xack +xdel +xautoclaim +hello +auth +select +ping +client|setname"
    admin: Any = client
    admin.execute_command(*f"ACL SETUSER writer on >pw resetkeys ~p:* resetchannels -@all {rights}".split())
    key = ask(client)
    async with made(f"redis://writer:pw@127.0.0.1:{redis_server.port}/0") as one:
        entries = await one.read(wait=SOON)
        await one.strike(entries)
    assert ([key], 0) == ([entry.key for entry in entries], client.xlen(STREAM))
