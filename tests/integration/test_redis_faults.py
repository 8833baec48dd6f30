"""What each shape of Redis adds to a single server's failures, and what the servers are asked about themselves."""

import asyncio
import signal
import time
from dataclasses import replace
from os import kill
from pathlib import Path
from typing import Any

import pytest

from refreshd.adapters.redis.connecting import Access, BySentinel, Direct, InCluster, Place
from refreshd.adapters.redis.publisher import RedisPublisher
from refreshd.adapters.system_clock import SystemClock
from refreshd.config.settings import RedisSettings
from refreshd.demo.embedded_redis import EmbeddedRedis
from refreshd.domain.secret import Secret
from refreshd.ports.publisher import Published, PublisherUnavailable
from refreshd.wiring.redis import check_redis
from tests.components.ports import free_port
from tests.components.redis_cluster import ClusterGroup
from tests.components.redis_sentinels import MASTER, SentinelGroup, tls_sentinel
from tests.components.redis_server import RedisServer
from tests.components.redis_shapes import PASSWORD, USER, tls_server
from tests.integration.certificates import self_signed
from tests.integration.test_redis_publication import IDENTITY, snapshot

CALL_LIMIT = 5.5
NAMES = [f"n{number}" for number in range(30)]


def made(place: Place) -> RedisPublisher:
    return RedisPublisher(place, prefix="refreshd", identity=IDENTITY, clock=SystemClock())


def direct(server: RedisServer, **access: Any) -> Direct:
    return Direct(url=Secret(server.url), access=Access(**access))


async def until_it_succeeds(publisher: RedisPublisher, revision: int, *, seconds: float) -> float:
    """Publish a newer revision again and again, as the daemon does; returns how long it took."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        try:
            await publisher.publish([snapshot(id=name, revision=revision) for name in NAMES])
        except PublisherUnavailable:
            await asyncio.sleep(0.1)
        else:
            return time.monotonic() - started
    raise AssertionError(f"nothing was published within {seconds} s")


@pytest.mark.timeout(60)
async def test_a_frozen_node_costs_one_call_its_time_out() -> None:
    """redis-py's own patience is 55 s for three commands; a batch over all nodes takes as long as one answer may."""
    with ClusterGroup() as group:
        async with made(InCluster(nodes=group.addresses)) as publisher:
            await publisher.announce()
            await publisher.publish([snapshot(id=name) for name in NAMES])
            kill(group.nodes[1].pid, signal.SIGSTOP)
            try:
                took = []
                for attempt in range(3):
                    started = time.monotonic()
                    with pytest.raises(PublisherUnavailable):
                        await publisher.publish([snapshot(id=name, revision=11 + attempt) for name in NAMES])
                    took.append(time.monotonic() - started)
            finally:
                kill(group.nodes[1].pid, signal.SIGCONT)
            group.wait_until_ok()
            back = await until_it_succeeds(publisher, 20, seconds=10)
    print(
        f"three batches to a cluster with a frozen node: {', '.join(f'{one:.1f} s' for one in took)}; back {back:.1f} s"
    )
    assert max(took) < CALL_LIMIT
    assert back < 2


@pytest.mark.timeout(60)
async def test_a_moved_slot_is_followed() -> None:
    """Resharding goes on while we write: MOVED names the new node, and nothing is lost or refused."""
    with ClusterGroup() as group:
        async with made(InCluster(nodes=group.addresses)) as publisher:
            await publisher.announce()
            key = "refreshd:token:moved"
            owner = group.holder(key)
            heir = next(node for node in group.nodes if node is not owner)
            asked: list[Any] = [heir.client(), *(node.client() for node in group.nodes)]
            slot, new = (asked[0].execute_command(*one) for one in (("CLUSTER", "KEYSLOT", key), ("CLUSTER", "MYID")))
            for one in asked:  # the heir first, or the slot would be nobody's for a moment
                one.execute_command("CLUSTER", "SETSLOT", slot, "NODE", new)
            assert [Published.WRITTEN] == list(await publisher.publish([snapshot(id="moved")]))
            assert "the-token" == asked[0].hget(key, "access_token")


@pytest.mark.timeout(60)
async def test_sentinels_that_are_away_are_no_reason_to_leave_the_primary() -> None:
    """Who is connected goes on; only who has to connect anew needs a Sentinel."""
    with SentinelGroup() as group:
        async with made(BySentinel(sentinels=group.addresses, master=MASTER)) as publisher:
            await publisher.announce()
            group.stop_sentinels()
            assert (await publisher.look()).intact
            assert [Published.WRITTEN] == list(await publisher.publish([snapshot()]))
        async with made(BySentinel(sentinels=group.addresses, master=MASTER)) as late:
            started = time.monotonic()
            with pytest.raises(PublisherUnavailable, match="MasterNotFoundError"):
                await late.announce()
            assert time.monotonic() - started < CALL_LIMIT


@pytest.mark.timeout(60)
async def test_sentinel_with_tls_on_both_kinds_of_servers(tmp_path: Path) -> None:
    """Each with files of its own; with the server's files a Sentinel lets nobody in."""
    for name in ("redis", "sentinel", "client"):
        (tmp_path / name).mkdir()
        if name != "redis":
            self_signed(tmp_path / name)
    with tls_server(tmp_path / "redis") as (server, tls):
        admin: Any = server.client()
        admin.acl_setuser(USER, enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], commands=["+@all"])
        own, ours = tmp_path / "sentinel", tmp_path / "client"
        # a Sentinel shows the same certificate to clients and to the server: the server has to trust it, and it the server
        admin.config_set("tls-ca-cert-file", str(_bundle(tmp_path / "a.pem", tls.cert_file, own / "certificate.pem")))
        trusted = _bundle(tmp_path / "b.pem", tls.ca_file, ours / "certificate.pem")
        with tls_sentinel(
            own, tls.port, certificate=own / "certificate.pem", key=own / "key.pem", trusted=trusted
        ) as port:
            sentinel_access = Access(
                tls=True, ca_file=own / "certificate.pem", cert_file=ours / "certificate.pem", key_file=ours / "key.pem"
            )
            for access, works in ((sentinel_access, True), (tls.access(), False), (Access(), False)):
                place = BySentinel(
                    sentinels=[("127.0.0.1", port)], master=MASTER, access=tls.access(), sentinel_access=access
                )
                async with made(place) as publisher:
                    if works:
                        await until_it_succeeds(publisher, 10, seconds=20)
                        await publisher.announce()
                        assert (await publisher.look()).intact
                    else:
                        with pytest.raises(PublisherUnavailable, match="MasterNotFoundError"):
                            await publisher.announce()


async def test_a_cluster_with_tls_and_a_single_node(tmp_path: Path) -> None:
    """Named by a URL, as a managed service with one shard is; its slots are told with the TLS port."""
    options = ("--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port", str(free_port()))
    with tls_server(tmp_path, *options) as (server, tls):
        admin: Any = server.client()
        admin.acl_setuser(USER, enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], commands=["+@all"])
        admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        place = InCluster(url=Secret(f"rediss://127.0.0.1:{tls.port}/0"), access=replace(tls.access(), tls=False))
        async with made(place) as publisher:
            await until_it_succeeds(publisher, 10, seconds=10)
            assert (await publisher.announce()).servers == admin.info("server")["run_id"]
            assert (await publisher.look()).intact
        stranger = InCluster(nodes=[("127.0.0.1", tls.port)], access=Access(tls=True))
        async with made(stranger) as publisher:
            with pytest.raises(PublisherUnavailable, match="certificate"):
                await publisher.announce()


async def test_another_process_is_noticed_though_meta_survives(tmp_path: Path) -> None:
    """A restart with its data: `meta` is there, and the last second of writes may not be."""
    with RedisServer(data=tmp_path) as server:
        async with made(direct(server)) as publisher:
            announced = await publisher.announce()
            assert announced.servers == (await publisher.look()).servers
            server.stop()
            server.start()
            with pytest.raises(PublisherUnavailable):  # the connection that broke
                await publisher.look()
            standing = await publisher.look()
    assert standing.intact
    assert standing.servers not in ("", announced.servers)


@pytest.mark.parametrize(
    ("policy", "told"), [("noeviction", ""), ("allkeys-lru", "allkeys-lru"), ("volatile-ttl",) * 2]
)
async def test_a_policy_that_drops_keys_is_told(redis_server: RedisServer, policy: str, told: str) -> None:
    """Our tokens have a life, so also what spares keys without one drops them."""
    redis_server.client().config_set("maxmemory-policy", policy)
    async with made(direct(redis_server)) as publisher:
        assert told == (await publisher.announce()).evicting
    notes = (await check_redis(RedisSettings(url=redis_server.url), "s1")).notes
    assert bool(told) == any(policy in note for note in notes)


async def test_servers_that_may_not_be_asked_are_written_to_all_the_same(redis_server: RedisServer) -> None:
    """Managed services refuse INFO to some users: then nothing is known, and `check` says what that costs."""
    admin = redis_server.client()
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.acl_setuser(USER, enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-info"])
    async with made(direct(redis_server, username=USER, password=Secret("pw"))) as publisher:
        announced = await publisher.announce()
        assert ("", "") == (announced.servers, announced.evicting)
        for _ in range(3):
            assert ("", True) == ((standing := await publisher.look()).servers, standing.intact)
        refusals: Any = admin.acl_log()
        assert 1 == sum(int(entry["count"]) for entry in refusals if entry["object"] == "info")
        assert [Published.WRITTEN] == list(await publisher.publish([snapshot()]))
    settings = RedisSettings.model_validate({"url": redis_server.url, "username": USER, "password": "pw"})
    [note] = (await check_redis(settings, "s1")).notes
    assert "INFO" in note


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"username": USER, "password": "wrong-password"}, "AuthenticationError"),
        ({"cluster": True}, "This instance has cluster support disabled"),
        ({"sentinels": ["127.0.0.1:1"]}, "MasterNotFoundError"),
    ],
    ids=["password", "no cluster", "no Sentinel"],
)
async def test_check_says_what_is_wrong(redis_server: RedisServer, keys: dict[str, Any], said: str) -> None:
    """In one line, with neither password nor address."""
    assert () == (await check_redis(RedisSettings(url=redis_server.url), "s1")).faults
    settings = RedisSettings(**({"url": redis_server.url} | keys))
    faults = (await check_redis(settings, "s1")).faults
    [fault] = faults
    assert said in fault
    assert "wrong-password" not in fault
    assert str(redis_server.port) not in fault


def _bundle(file: Path, *certificates: Path) -> Path:
    file.write_text("".join(one.read_text() for one in certificates))
    return file


async def test_the_demos_redis_goes_on_after_an_error() -> None:
    """The fake knows no INFO, and by itself hangs up after every error: nothing would ever be published there."""
    with EmbeddedRedis() as fake:
        async with made(Direct(url=Secret(fake.url))) as publisher:
            assert (await publisher.announce()).written
            assert [Published.WRITTEN] == list(await publisher.publish([snapshot()]))
            assert (await publisher.look()).intact
