"""What consumers and stale writers meet in a real Redis (contract §4)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from refreshd.adapters.redis.connecting import Direct
from refreshd.adapters.redis.publisher import RedisPublisher
from refreshd.adapters.system_clock import SystemClock
from refreshd.domain.credential import AccessToken, ClientName, CredentialId, Reason, Status
from refreshd.domain.events import StreamEvent
from refreshd.domain.secret import Secret
from refreshd.ports.publisher import Published, PublisherUnavailable, Snapshot
from tests.components.redis_server import RedisServer
from tests.components.redis_shapes import SHAPES

IDENTITY = {"store_id": "s1", "environment": "production", "instance": "i1", "started_at": "1"}
STALE_WRITES = 10_000


@pytest.fixture
async def publisher(redis_server: RedisServer) -> AsyncIterator[RedisPublisher]:
    async with RedisPublisher(
        Direct(url=Secret(redis_server.url)), prefix="refreshd", identity=IDENTITY, clock=SystemClock()
    ) as made:
        await made.announce()
        yield made


def snapshot(**changes: Any) -> Snapshot:
    now = datetime.now(UTC)
    access = AccessToken(
        value=Secret("the-token"), token_type="bearer", issued_at=now, expires_at=now + timedelta(seconds=100)
    )
    one = Snapshot(
        id=CredentialId("team/../a@b"),
        client=ClientName("acme"),
        status=Status.ACTIVE,
        reason=None,
        generation=3,
        revision=10,
        in_doubt=False,
        relogin_soon=False,
        relogin_by=now + timedelta(days=30),
        relogin_since=None,
        next_refresh_at=now + timedelta(seconds=50),
        scope="offline read",
        access=access,
        updated_at=now,
    )
    return replace(one, **changes)


TOKEN, STATUS = "refreshd:token:team/../a@b", "refreshd:status:team/../a@b"


async def test_consumers_find_every_field_and_exactly_the_life_left(
    publisher: RedisPublisher, redis_server: RedisServer
) -> None:
    """The key dies with its token, whatever its id looks like."""
    one = snapshot(events=(StreamEvent.REFRESHED,))
    assert [Published.WRITTEN] == list(await publisher.publish([one]))
    client = redis_server.client()
    fields = client.hgetall(TOKEN)
    assert {
        "access_token",
        "token_type",
        "scope",
        "expires_at",
        "issued_at",
        "generation",
        "revision",
        "client",
        "schema",
    } == set(fields)
    assert 98_000 < client.pttl(TOKEN) <= 100_000
    assert {
        "status",
        "relogin_soon",
        "relogin_by",
        "in_doubt",
        "reason",
        "generation",
        "revision",
        "next_refresh_at",
        "updated_at",
        "schema",
    } == set(client.hgetall(STATUS))
    [(_, event)] = client.xrange("refreshd:events") or []
    assert {"type", "id", "client", "generation", "expires_at"} == set(event or {})
    assert {**IDENTITY, "schema": "1"} == client.hgetall("refreshd:meta")


async def test_a_token_without_life_is_never_written(publisher: RedisPublisher, redis_server: RedisServer) -> None:
    """Expired or undated: the status speaks, the token key does not exist."""
    one = snapshot()
    assert one.access is not None
    for expires_at in (datetime.now(UTC) - timedelta(seconds=1), None):
        await publisher.publish([replace(one, access=replace(one.access, expires_at=expires_at))])
        assert 0 == redis_server.client().exists(TOKEN)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("shape", ["standalone", "Cluster"])
async def test_ten_thousand_stale_writes_are_refused(shape: str, *, paused: bool) -> None:
    """A writer behind the newest revision changes nothing, also after a pause withdrew the token."""
    newest = snapshot(revision=50_000, status=Status.PAUSED if paused else Status.ACTIVE)
    refused = 0
    with SHAPES[shape]() as running:
        client = running.client
        async with RedisPublisher(
            running.place, prefix="refreshd", identity=IDENTITY, clock=SystemClock()
        ) as publisher:
            await publisher.announce()
            await publisher.publish([snapshot(revision=49_999), newest])
            before = (client.hgetall(TOKEN), client.hgetall(STATUS))
            for start in range(0, STALE_WRITES, 200):
                results = await publisher.publish([snapshot(revision=30_000 + start + number) for number in range(200)])
                refused += sum(result is Published.STALE for result in results)
        after = (client.hgetall(TOKEN), client.hgetall(STATUS))
    print(f"{shape}: {refused} of {STALE_WRITES} stale writes refused (paused: {paused})")
    assert STALE_WRITES == refused
    assert before == after
    assert paused == ("access_token" not in before[0])


@pytest.mark.parametrize("status", [Status.PAUSED, Status.RELOGIN_REQUIRED, Status.REMOVED])
async def test_a_withdrawn_token_leaves_its_counters_for_a_day(
    publisher: RedisPublisher, redis_server: RedisServer, status: Status
) -> None:
    """Only generation, revision and schema stay, so that a stale writer still loses."""
    await publisher.publish([snapshot()])
    reason = Reason.REFUSED if status is Status.RELOGIN_REQUIRED else None
    await publisher.publish([snapshot(revision=11, status=status, reason=reason, access=None)])
    client = redis_server.client()
    assert {"generation": "3", "revision": "11", "schema": "1"} == client.hgetall(TOKEN)
    assert 86_390 < client.ttl(TOKEN) <= 86_400
    if status is Status.REMOVED:
        await publisher.publish([snapshot(revision=12)])
        assert -1 == client.ttl(STATUS)


async def test_forgotten_scripts_and_a_bad_key_do_not_stop_the_others(
    publisher: RedisPublisher, redis_server: RedisServer
) -> None:
    """SCRIPT FLUSH is healed; a key of the wrong type fails its own credential alone."""
    client = redis_server.client()
    client.script_flush()
    client.set("refreshd:status:bad", "text")
    results = await publisher.publish([snapshot(id=CredentialId("bad")), snapshot()])
    assert [Published.FAILED, Published.WRITTEN] == list(results)


async def test_an_absent_redis_is_told_quickly_and_without_its_password(redis_server: RedisServer) -> None:
    """No retries of ten times five seconds, no address in the text."""
    url = f"redis://:secret-pw@127.0.0.1:{redis_server.port}/0"
    redis_server.stop()
    async with RedisPublisher(
        Direct(url=Secret(url)), prefix="refreshd", identity=IDENTITY, clock=SystemClock()
    ) as made:
        with pytest.raises(PublisherUnavailable) as caught:
            await made.announce()
    assert "secret-pw" not in str(caught.value)
