"""The ACL lines of docs/redis.md on real servers: enough for the work, and for nothing else."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from refreshd.adapters.redis.connecting import Access, BySentinel, Direct, InCluster
from refreshd.adapters.redis.inspection import inspect
from refreshd.adapters.redis.publisher import RedisPublisher
from refreshd.adapters.system_clock import SystemClock
from refreshd.domain.credential import CredentialId, Reason, Status
from refreshd.domain.events import StreamEvent
from refreshd.domain.secret import Secret
from refreshd.ports.publisher import Published
from tests.components.redis_cluster import ClusterGroup
from tests.components.redis_sentinels import MASTER, SentinelGroup
from tests.components.redis_server import RedisServer
from tests.integration.test_redis_publication import IDENTITY, snapshot

PAGE = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
[*SERVER_LINES, SENTINEL_LINE] = re.findall(r"^user .*$", PAGE, flags=re.MULTILINE)
[ON_A_CLUSTER] = re.findall(r"On a Cluster every user needs more, to find the nodes: `(.*)`", PAGE)
# what redis-py tries and can do without: it is newer than Redis 7.0
HARMLESS = {"client|setinfo"}


def password(user: str) -> str:
    [found] = [line for line in SERVER_LINES if line.startswith(f"user {user} ")]
    return _password(found)


def _password(line: str) -> str:
    [found] = re.findall(r" >(\S+)", line)
    return str(found)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Started with the page's lines in its ACL file, as an operator would; the default user looks on."""
    file = tmp_path_factory.mktemp("acl") / "users.acl"
    file.write_text("\n".join([*SERVER_LINES, ""]))
    with RedisServer(options=("--aclfile", str(file))) as one:
        yield one


@pytest.fixture
def as_user(server: RedisServer) -> Iterator[Callable[[str], Any]]:
    made: list[redis.Redis] = []

    def connected(user: str) -> Any:
        client = redis.Redis(
            port=server.port,
            username=user,
            password=password(user),
            client_name=user,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        )
        made.append(client)
        return client

    server.client().flushall()
    yield connected
    for client in made:
        client.close()


def publisher(place: Any) -> RedisPublisher:
    return RedisPublisher(place, prefix="refreshd", identity=IDENTITY, clock=SystemClock())


def users(*servers: Any) -> set[str]:
    """Who is connected there, but for us who look on."""
    return {entry["user"] for one in servers for entry in one.client_list()} - {"default"}


async def publishes_everything(place: Any, *servers: Any) -> None:
    """All that a writer ever does, as its own user: every kind of key, of withdrawal and of question."""
    async with publisher(place) as one:
        assert (await one.announce()).servers
        now = snapshot()
        everything = [
            now,
            snapshot(id=CredentialId("soon"), relogin_soon=True, events=(StreamEvent.RELOGIN_SOON,)),
            snapshot(
                id=CredentialId("dead"),
                status=Status.RELOGIN_REQUIRED,
                reason=Reason.REFUSED,
                relogin_since=now.updated_at,
                access=None,
            ),
        ]
        assert [Published.WRITTEN] * 3 == list(await one.publish(everything))
        removed = snapshot(revision=11, status=Status.REMOVED, access=None)
        assert [Published.WRITTEN] == list(await one.publish([removed]))
        assert {"dead"} == set(await one.published([CredentialId("dead")]))
        standing = await one.look()
        assert standing.intact
        assert standing.servers
        assert {"refreshd"} == users(*servers)
    assert (await inspect(place, prefix="refreshd", clock=SystemClock())).may_ask


def refused(client: Any) -> set[str]:
    """What the server's ACL log holds of commands, emptied for the next."""
    entries = client.acl_log()
    client.acl_log_reset()
    return {entry["object"] for entry in entries}


def test_the_page_has_a_line_for_each_user() -> None:
    """What follows reads them from there."""
    assert ["refreshd", "consumer", "consumer-acme"] == [line.split()[1] for line in SERVER_LINES]
    assert SENTINEL_LINE.startswith("user refreshd ")


async def test_refreshd_can_do_all_its_work(server: RedisServer) -> None:
    """And is refused nothing that it asks for."""
    server.client().flushall()
    refused(server.client())
    access = Access(username="refreshd", password=Secret(password("refreshd")))
    await publishes_everything(Direct(url=Secret(server.url), access=access), server.client())
    assert refused(server.client()) <= HARMLESS


def test_refreshd_can_read_what_consumers_ask_for(as_user: Callable[[str], Any]) -> None:
    """Its consumer group, from the making to the deletion of an entry."""
    ours = as_user("refreshd")
    ours.xgroup_create("refreshd:requests", "refreshd", id="0", mkstream=True)
    as_user("consumer").xadd("refreshd:requests", {"id": "a", "generation": "3"}, maxlen=1000, approximate=True)
    [(_, [(key, fields)])] = ours.xreadgroup("refreshd", "one", {"refreshd:requests": ">"}, count=9)
    assert {"id": "a", "generation": "3"} == fields
    assert [(key, fields)] == ours.xautoclaim("refreshd:requests", "refreshd", "two", 0, count=9)[1]
    assert (1, 1) == (ours.xack("refreshd:requests", "refreshd", key), ours.xdel("refreshd:requests", key))


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "other", "x"),
        ("HSET", "other:meta", "a", "b"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("CLIENT", "LIST"),
        ("EVAL", "return 1", "0"),
    ],
    ids=lambda command: command[0],
)
def test_refreshd_can_do_nothing_else(as_user: Callable[[str], Any], command: tuple[str, ...]) -> None:
    """Other keys and other commands are not its business."""
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_user("refreshd").execute_command(*command)


@pytest.mark.parametrize(("user", "name"), [("consumer", "a"), ("consumer", "acme/1"), ("consumer-acme", "acme/1")])
async def test_a_consumer_reads_and_asks(
    server: RedisServer, as_user: Callable[[str], Any], user: str, name: str
) -> None:
    """Token, status, and a request for a refresh; whoever may see all ids, also who needs a login and what happens."""
    async with publisher(Direct(url=Secret(server.url))) as one:
        await one.announce()
        soon = snapshot(id=CredentialId(name), relogin_soon=True, events=(StreamEvent.REFRESHED,))
        await one.publish([soon])
    client = as_user(user)
    assert "the-token" == client.hget(f"refreshd:token:{name}", "access_token")
    assert ["the-token", "3"] == client.hmget(f"refreshd:token:{name}", "access_token", "generation")
    assert "active" == client.hgetall(f"refreshd:status:{name}")["status"]
    assert 0 < client.pttl(f"refreshd:token:{name}") <= timedelta(seconds=100) / timedelta(milliseconds=1)
    assert client.xadd("refreshd:requests", {"id": name, "generation": "3"}, maxlen=1000, approximate=True)
    if user == "consumer":
        assert [name] == client.zrange("refreshd:relogin", 0, -1)
        assert 1 == len(client.xread({"refreshd:events": "0"})[0][1])


FORBIDDEN = [
    ("HSET", "refreshd:token:acme/1", "access_token", "x"),
    ("DEL", "refreshd:token:acme/1"),
    ("HGET", "refreshd:meta", "store_id"),
    ("XRANGE", "refreshd:requests", "-", "+"),
    ("XADD", "refreshd:events", "*", "a", "b"),
    ("ZADD", "refreshd:relogin", "1", "a"),
    ("KEYS", "*"),
    ("EVAL", "return 1", "0"),
    ("FLUSHALL",),
]
OF_OTHERS = [
    ("HGET", "refreshd:token:acme", "access_token"),
    ("HGET", "refreshd:token:other/1", "access_token"),
    ("HGETALL", "refreshd:status:other/1"),
    ("XREAD", "STREAMS", "refreshd:events", "0"),
    ("ZRANGE", "refreshd:relogin", "0", "-1"),
]


@pytest.mark.parametrize(
    ("user", "command"),
    [
        *((user, command) for user in ("consumer", "consumer-acme") for command in FORBIDDEN),
        *(("consumer-acme", command) for command in OF_OTHERS),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_a_consumer_can_do_nothing_else(as_user: Callable[[str], Any], user: str, command: tuple[str, ...]) -> None:
    """It writes to no key but the stream of requests, and a narrowed one sees nothing of other ids."""
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_user(user).execute_command(*command)


@pytest.mark.timeout(60)
async def test_the_lines_serve_on_a_cluster_with_what_the_page_adds() -> None:
    """A client that may not ask for the slots finds no node."""
    with ClusterGroup() as group:
        for node in group.nodes:
            admin: Any = node.client()
            for line in SERVER_LINES:
                admin.execute_command("ACL", "SETUSER", *line.split()[1:], *ON_A_CLUSTER.split())
        access = Access(username="refreshd", password=Secret(password("refreshd")))
        admins = [node.client() for node in group.nodes]
        await publishes_everything(InCluster(nodes=group.addresses, access=access), *admins)
        assert set().union(*(refused(node.client()) for node in group.nodes)) <= HARMLESS


@pytest.mark.timeout(60)
async def test_sentinels_and_servers_each_have_their_user() -> None:
    """The Sentinels' user is known to the Sentinels alone, and the server's to the servers."""
    with SentinelGroup(lines=(SENTINEL_LINE,)) as group:
        for one in (group.primary, group.replica):
            admin: Any = one.client()
            admin.execute_command("ACL", "SETUSER", *SERVER_LINES[0].split()[1:])
        place = BySentinel(
            sentinels=group.addresses,
            master=MASTER,
            db=3,
            access=Access(username="refreshd", password=Secret(password("refreshd"))),
            sentinel_access=Access(username="refreshd", password=Secret(_password(SENTINEL_LINE))),
        )
        sentinels = [group.sentinel(number) for number in range(len(group.ports))]
        await publishes_everything(place, group.primary.client(), *sentinels)
        looking: Any = group.primary.client()
        looking.select(3)
        assert looking.exists("refreshd:meta")
        for sentinel in sentinels:
            assert refused(sentinel) <= HARMLESS
            sentinel.close()
