"""Every value in a real Redis of every shape, and what its failures do to a batch (contract §4).

What consumers and stale writers rely on first stands in `test_redis_publication.py`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from refreshd.adapters.redis.connecting import Direct, Place
from refreshd.adapters.redis.keys import EVENTS_CAP
from refreshd.adapters.redis.publisher import RedisPublisher
from refreshd.adapters.system_clock import SystemClock
from refreshd.domain.credential import AccessToken, ClientName, CredentialId, Reason, Status
from refreshd.domain.events import StreamEvent
from refreshd.domain.secret import Secret
from refreshd.ports.publisher import Announced, Published, PublisherUnavailable, Snapshot
from tests.components.redis_server import RedisServer
from tests.components.redis_shapes import SHAPES, Shape
from tests.components.tcp_proxy import TcpProxy

IDENTITY = {"store_id": "s1", "environment": "production", "instance": "i1", "started_at": "1"}
NOW = datetime.now(UTC).replace(microsecond=0)
EXPIRES = NOW + timedelta(seconds=1000)
SLACK = 0.5


def made(place: Place | str, **identity: str) -> RedisPublisher:
    """On a place, or on one server by its URL."""
    found = Direct(url=Secret(place)) if isinstance(place, str) else place
    return RedisPublisher(found, prefix="p", identity={**IDENTITY, **identity}, clock=SystemClock())


@pytest.fixture(scope="module", params=SHAPES)
def running(request: pytest.FixtureRequest) -> Iterator[Shape]:
    """One set of servers for a module; tests ask for `shape`, which empties it first."""
    with SHAPES[request.param]() as one:
        yield one


@pytest.fixture
def shape(running: Shape) -> Shape:
    running.empty()
    return running


@pytest.fixture
async def publisher(shape: Shape) -> AsyncIterator[RedisPublisher]:
    async with made(shape.place) as one:
        await one.announce()
        yield one


@pytest.fixture
def client(shape: Shape) -> redis.Redis:
    return shape.client


def token(text: str = "the-token", **fields: Any) -> AccessToken:
    values = {"token_type": "bearer", "issued_at": NOW, "expires_at": EXPIRES, **fields}
    return AccessToken(value=Secret(text), **values)


def snapshot(name: str = "a", revision: int = 10, **fields: Any) -> Snapshot:
    values: dict[str, Any] = {
        "client": ClientName("acme"),
        "status": Status.ACTIVE,
        "reason": None,
        "generation": 3,
        "in_doubt": False,
        "relogin_soon": False,
        "relogin_by": None,
        "relogin_since": None,
        "next_refresh_at": NOW + timedelta(seconds=500),
        "scope": "offline read",
        "access": token(),
        "updated_at": NOW,
        **fields,
    }
    return Snapshot(id=CredentialId(name), revision=revision, **values)


def unix(instant: datetime) -> str:
    return str(int(instant.timestamp()))


def events(client: redis.Redis) -> list[dict[str, str]]:
    """The stream's entries, oldest first."""
    return [dict(fields) for _, fields in client.xrange("p:events")]  # type: ignore[union-attr,arg-type]  # decoded


class TestValues:
    async def test_a_token_key_holds_these_values(self, publisher: RedisPublisher, client: redis.Redis) -> None:
        """Seconds since 1970, our counters, and the provider's own token type and scope."""
        assert [Published.WRITTEN] == await publisher.publish([snapshot()])
        assert {
            "access_token": "the-token",
            "token_type": "bearer",
            "scope": "offline read",
            "expires_at": unix(EXPIRES),
            "issued_at": unix(NOW),
            "generation": "3",
            "revision": "10",
            "client": "acme",
            "schema": "1",
        } == client.hgetall("p:token:a")
        left = (EXPIRES - datetime.now(UTC)).total_seconds()
        assert abs(client.pttl("p:token:a") / 1000 - left) < 1

    async def test_a_status_key_holds_these_values_and_stays(
        self, publisher: RedisPublisher, client: redis.Redis
    ) -> None:
        """Flags are 0 or 1, an unknown instant is empty, the reason is a code of ours."""
        one = snapshot(
            status=Status.RELOGIN_REQUIRED,
            reason=Reason.ROTATION_LOST,
            in_doubt=True,
            relogin_soon=True,
            relogin_by=EXPIRES,
            relogin_since=NOW,
            next_refresh_at=None,
        )
        await publisher.publish([one])
        assert {
            "status": "relogin_required",
            "relogin_soon": "1",
            "relogin_by": unix(EXPIRES),
            "in_doubt": "1",
            "reason": "rotation_lost",
            "generation": "3",
            "revision": "10",
            "next_refresh_at": "",
            "updated_at": unix(NOW),
            "schema": "1",
        } == client.hgetall("p:status:a")
        assert -1 == client.ttl("p:status:a")

    async def test_no_life_is_longer_than_the_whole_one(self, publisher: RedisPublisher, client: redis.Redis) -> None:
        """Whatever a clock says that has jumped back."""
        await publisher.publish([snapshot()], now=NOW - timedelta(days=1))
        assert client.ttl("p:token:a") <= 1000

    async def test_a_newer_generation_is_never_written_over(
        self, publisher: RedisPublisher, client: redis.Redis
    ) -> None:
        """A restored store may have counted past the revision; only keys that are being taken over are another matter."""
        await publisher.publish([snapshot(generation=4)])
        older = snapshot(revision=50)
        assert [Published.STALE] == await publisher.publish([older])
        assert ("4", "10") == tuple(client.hmget("p:status:a", "generation", "revision"))
        assert [Published.WRITTEN] == await publisher.publish([older], taking=True)

    @pytest.mark.parametrize("odd", ["inf", "1e99", "9" * 16, "", "-1", "0x7"])
    async def test_a_counter_that_is_none_of_ours_is_written_over(
        self, publisher: RedisPublisher, client: redis.Redis, odd: str
    ) -> None:
        """What nobody can count past would keep a credential out for ever."""
        client.hset("p:status:a", mapping={"generation": odd, "revision": odd})
        assert [Published.WRITTEN] == await publisher.publish([snapshot()])

    async def test_the_newest_of_both_keys_counts(self, publisher: RedisPublisher, client: redis.Redis) -> None:
        """One of them may be lost, or late."""
        await publisher.publish([snapshot(generation=4)])
        client.delete("p:status:a")
        found = await publisher.published([CredentialId("a")])
        assert (4, 10) == (found[CredentialId("a")].generation, found[CredentialId("a")].revision)

    async def test_a_held_credential_goes_on_serving(self, publisher: RedisPublisher, client: redis.Redis) -> None:
        """Held stops refreshing, not reading: the living token stays until it expires."""
        await publisher.publish([snapshot(status=Status.HELD, reason=Reason.UNDECRYPTABLE)])
        assert ("the-token", "held") == (client.hget("p:token:a", "access_token"), client.hget("p:status:a", "status"))

    async def test_a_removed_credential_comes_back_for_good(
        self, publisher: RedisPublisher, client: redis.Redis
    ) -> None:
        """A day-long tombstone must not take the status of a later import with it."""
        await publisher.publish([snapshot(revision=11, status=Status.REMOVED, access=None)])
        assert {"generation": "3", "revision": "11", "schema": "1"} == client.hgetall("p:status:a")
        assert 86_390 < client.ttl("p:status:a") <= 86_400
        await publisher.publish([snapshot(revision=12)])
        assert -1 == client.ttl("p:status:a")
        assert client.ttl("p:token:a") <= 1000

    @pytest.mark.parametrize("name", ["a/b/../../c", "a@b.example", "A:b:c", "x" * 128])
    async def test_an_id_is_taken_as_it_is(self, publisher: RedisPublisher, client: redis.Redis, name: str) -> None:
        """An id is no path and no pattern: its keys are its own."""
        await publisher.publish([snapshot(name)])
        assert {f"p:token:{name}", f"p:status:{name}", "p:meta"} == set(client.scan_iter("*"))

    async def test_a_token_that_is_not_unicode_harms_nobody_else(
        self, publisher: RedisPublisher, client: redis.Redis
    ) -> None:
        """An imported token with half a surrogate pair is shown as it is; the batch around it is written."""
        odd = snapshot("odd", access=token("a\ud800b"), scope="s\udfff")
        assert [Published.WRITTEN] * 3 == await publisher.publish([snapshot("a"), odd, snapshot("b")])
        assert 1 == client.exists("p:token:b")

    async def test_an_expired_token_key_disappears_by_itself(
        self, publisher: RedisPublisher, client: redis.Redis
    ) -> None:
        """A consumer never reads a token past its life."""
        await publisher.publish([snapshot(access=token(expires_at=datetime.now(UTC) + timedelta(seconds=0.3)))])
        assert 1 == client.exists("p:token:a")
        deadline = time.monotonic() + 3
        while client.exists("p:token:a") and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert 0 == client.exists("p:token:a")


class TestWhoNeedsAPerson:
    async def test_the_score_is_the_deadline_or_the_death(self, publisher: RedisPublisher, client: redis.Redis) -> None:
        """Sorted by urgency: the dead by when they died, the others by when they will."""
        died = NOW - timedelta(days=2)
        await publisher.publish(
            [
                snapshot("fine", relogin_by=EXPIRES),
                snapshot("soon", relogin_soon=True, relogin_by=EXPIRES),
                snapshot("dead", status=Status.RELOGIN_REQUIRED, relogin_since=died, relogin_by=EXPIRES, access=None),
            ]
        )
        expected = [("dead", int(died.timestamp())), ("soon", int(EXPIRES.timestamp()))]
        assert expected == client.zrange("p:relogin", 0, -1, withscores=True)

    @pytest.mark.parametrize("status", [Status.ACTIVE, Status.REMOVED])
    async def test_who_logged_in_again_or_left_is_taken_off(
        self, publisher: RedisPublisher, client: redis.Redis, status: Status
    ) -> None:
        """Nobody is asked for a login that is no longer needed."""
        await publisher.publish([snapshot(relogin_soon=True, relogin_by=EXPIRES)])
        await publisher.publish([snapshot(revision=11, status=status, relogin_by=EXPIRES)])
        assert 0 == client.exists("p:relogin")

    async def test_a_stale_writer_asks_for_nobody(self, publisher: RedisPublisher, client: redis.Redis) -> None:
        """What was refused in the hashes is not told beside them either."""
        await publisher.publish([snapshot(revision=11)])
        stale = snapshot(relogin_soon=True, relogin_by=EXPIRES, events=(StreamEvent.RELOGIN_SOON,))
        assert [Published.STALE] == await publisher.publish([stale])
        assert (0, []) == (client.exists("p:relogin"), events(client))


class TestTheStream:
    async def test_events_come_in_order_without_a_token(self, publisher: RedisPublisher, client: redis.Redis) -> None:
        """A reader learns what happened to whom, and fetches the token itself."""
        kinds = (StreamEvent.PAUSED, StreamEvent.REFRESHED)
        await publisher.publish([snapshot(events=kinds), snapshot("b", access=None, events=(StreamEvent.HELD,))])
        common = {"client": "acme", "generation": "3"}
        assert [
            {"type": "paused", "id": "a", "expires_at": unix(EXPIRES), **common},
            {"type": "refreshed", "id": "a", "expires_at": unix(EXPIRES), **common},
            {"type": "held", "id": "b", "expires_at": "", **common},
        ] == events(client)

    async def test_the_same_revision_is_told_only_if_there_is_something_to_tell(
        self, publisher: RedisPublisher, client: redis.Redis
    ) -> None:
        """At least once after an interruption, and not at every republication."""
        await publisher.publish([snapshot(events=(StreamEvent.REFRESHED,))])
        assert [Published.SAME] == await publisher.publish([snapshot()])
        assert ["refreshed"] == [one["type"] for one in events(client)]
        assert [Published.SAME] == await publisher.publish([snapshot(events=(StreamEvent.REFRESHED,))])
        assert ["refreshed", "refreshed"] == [one["type"] for one in events(client)]

    async def test_the_stream_is_capped(self, publisher: RedisPublisher, client: redis.Redis) -> None:
        """Nobody has to read it for Redis to stay small."""
        many = tuple([StreamEvent.REFRESHED] * 1000)
        for revision in range(12):
            await publisher.publish([snapshot(revision=revision, events=many)])
        assert EVENTS_CAP <= client.xlen("p:events") < EVENTS_CAP + 500


class TestWhoseKeys:
    async def test_meta_says_whose_keys_these_are(self, shape: Shape, client: redis.Redis) -> None:
        """First nobody's, then ours; another store's are named and left alone, until they are to be taken (R11)."""
        async with made(shape.place) as ours, made(shape.place, store_id="s2") as theirs:
            servers = (await ours.look()).servers
            assert Announced(known=False, servers=servers) == await ours.announce()
            assert Announced(known=True, servers=servers) == await ours.announce()
            assert {**IDENTITY, "schema": "1"} == client.hgetall("p:meta")
            assert Announced(known=False, found_store="s1", written=False) == await theirs.announce()
            assert (True, False) == ((await ours.look()).intact, (await theirs.look()).intact)
            assert Announced(known=False, found_store="s1", servers=servers) == await theirs.announce(take=True)
            assert (False, True) == ((await ours.look()).intact, (await theirs.look()).intact)

    async def test_counters_are_read_as_far_as_they_are_ours(
        self, publisher: RedisPublisher, client: redis.Redis
    ) -> None:
        """R11: what somebody else wrote there, numbers beyond all counting or bytes that are no text, holds nobody."""
        await publisher.publish([snapshot(revision=7)])
        odd: dict[str, str | bytes] = {"huge": "9" * 20, "word": "seven", "half": b"\xff"}
        for name, value in odd.items():
            client.hset(f"p:status:{name}", mapping={"generation": value, "revision": "1"})
        client.set("p:status:text", "x")
        names = [CredentialId(name) for name in ("a", *odd, "text", "absent")]
        found = await publisher.published(names)
        assert {"a": 7} == {name: one.revision for name, one in found.items()}
        client.hset("p:meta", "store_id", b"\xff")
        assert {} == await publisher.published(names)

    async def test_a_flush_is_noticed(self, publisher: RedisPublisher, client: redis.Redis) -> None:
        """An empty Redis looks like a quiet one, but for `meta`."""
        assert (await publisher.look()).intact
        client.flushall()
        assert not (await publisher.look()).intact

    async def test_no_refresh_token_is_anywhere(self, publisher: RedisPublisher, client: redis.Redis) -> None:
        """The snapshot has no room for one; nothing in Redis is named like one."""
        await publisher.publish([snapshot(events=(StreamEvent.REFRESHED,))])
        hashes = [client.hgetall(key) for key in ("p:meta", "p:token:a", "p:status:a")]
        assert "refresh_token" not in repr((hashes, events(client)))


class TestCompareAndSet:
    async def test_a_late_writer_loses_against_a_tombstone(
        self, publisher: RedisPublisher, client: redis.Redis
    ) -> None:
        """A token withdrawn by a pause stays withdrawn, whoever still had it in hand."""
        await publisher.publish([snapshot(revision=2000)])
        await publisher.publish([snapshot(revision=2001, status=Status.PAUSED)])
        before = (client.hgetall("p:token:a"), client.hgetall("p:status:a"))
        results = await publisher.publish([snapshot(revision=1001 + number) for number in range(1000)])
        assert [Published.STALE] * 1000 == results
        assert before == (client.hgetall("p:token:a"), client.hgetall("p:status:a"))
        assert {"generation": "3", "revision": "2001", "schema": "1"} == before[0]

    async def test_a_revision_is_compared_as_a_number(self, publisher: RedisPublisher) -> None:
        """10 is newer than 9, also beyond 32 bits."""
        results = [*await publisher.publish([snapshot(revision=9), snapshot(revision=10), snapshot(revision=9)])]
        results += await publisher.publish([snapshot("big", revision=2**40), snapshot("big", revision=2**40 + 1)])
        written, stale = Published.WRITTEN, Published.STALE
        assert [written, written, stale, written, written] == results

    async def test_a_script_is_loaded_when_it_is_missing(self, shape: Shape, client: redis.Redis) -> None:
        """A restart and SCRIPT FLUSH both forget it; so does a publisher that never announced."""
        async with made(shape.place) as one:
            assert [Published.WRITTEN] == await one.publish([snapshot()])
            client.script_flush()
            assert [Published.WRITTEN] == await one.publish([snapshot(revision=11)])


class TestFailures:
    @pytest.fixture
    def shape(self, redis_server: RedisServer) -> Shape:
        """One server, of this test's own: it may be damaged. What the other shapes add stands in `test_redis_faults.py`."""
        return Shape(place=Direct(url=Secret(redis_server.url)), client=redis_server.client())

    @pytest.mark.parametrize("key", ["p:status:bad", "p:token:bad"])
    async def test_a_key_of_another_type_fails_its_credential_alone(
        self, publisher: RedisPublisher, client: redis.Redis, key: str
    ) -> None:
        """Also when it comes alone: Redis is not down because of it, and nothing is told of what was not written."""
        client.set(key, "text")
        bad = snapshot("bad", relogin_soon=True, relogin_by=EXPIRES, events=(StreamEvent.REFRESHED,))
        assert [Published.FAILED, Published.WRITTEN] == await publisher.publish([bad, snapshot()])
        assert [Published.FAILED] == await publisher.publish([bad])
        assert ([], 0) == (events(client), client.exists("p:relogin"))

    async def test_a_redis_that_refuses_every_write_is_unavailable(
        self, publisher: RedisPublisher, client: redis.Redis
    ) -> None:
        """After a failover the old primary takes no writes: the server's trouble, not a credential's, in its own words."""
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(PublisherUnavailable, match="read only"):
            await publisher.publish([snapshot(), snapshot("b")])

    async def test_a_full_redis_goes_on_showing_current_tokens(
        self, publisher: RedisPublisher, client: redis.Redis
    ) -> None:
        """Out of memory, a token is still replaced by its successor; at most the stream has to wait."""
        await publisher.publish([snapshot()])
        client.config_set("maxmemory", 1)
        assert [Published.WRITTEN] == await publisher.publish([snapshot(revision=11, access=token("newer"))])
        assert "newer" == client.hget("p:token:a", "access_token")

    async def test_a_stopped_server_is_told_at_once_and_found_again(self, redis_server: RedisServer) -> None:
        """Within two seconds; and the first call after its return succeeds on the same publisher."""
        async with made(redis_server.url) as one:
            await one.announce()
            redis_server.stop()
            started = time.monotonic()
            for _ in range(2):
                with pytest.raises(PublisherUnavailable):
                    await one.publish([snapshot()])
            assert time.monotonic() - started < 2
            redis_server.start()
            assert [Published.WRITTEN] == await one.publish([snapshot()])

    async def test_a_wrong_password_is_not_repeated_in_the_text(self) -> None:
        """Neither the right one nor ours, nor the address."""
        with RedisServer(options=("--requirepass", "right-password")) as server:
            async with made(f"redis://:wrong-password@127.0.0.1:{server.port}/0") as one:
                with pytest.raises(PublisherUnavailable) as caught:
                    await one.announce()
        assert "password" not in str(caught.value).lower().replace("invalid password", "")
        assert str(server.port) not in str(caught.value)

    async def test_a_silent_server_is_left_after_seconds(self, redis_server: RedisServer) -> None:
        """A black hole costs the time-out once, not a hang; what was shown is shown again when it heals."""
        with TcpProxy("127.0.0.1", redis_server.port) as proxy:
            async with made(f"redis://127.0.0.1:{proxy.port}/0") as one:
                await one.announce()
                proxy.blackhole()
                started = time.monotonic()
                with pytest.raises(PublisherUnavailable):
                    await one.publish([snapshot()])
                assert time.monotonic() - started < 5 + SLACK
                proxy.pass_through()
                assert await one.publish([snapshot()]) in ([Published.WRITTEN], [Published.SAME])

    async def test_a_cut_answer_is_unavailable_and_the_next_call_is_clean(self, redis_server: RedisServer) -> None:
        """An answer that broke off is never read as the next call's answer."""
        with TcpProxy("127.0.0.1", redis_server.port) as proxy:
            async with made(f"redis://127.0.0.1:{proxy.port}/0") as one:
                await one.announce()
                proxy.cut_after(6)
                with pytest.raises(PublisherUnavailable):
                    await one.publish([snapshot(str(number)) for number in range(50)])
                proxy.pass_through()
                assert [Published.SAME] * 50 == await one.publish([snapshot(str(number)) for number in range(50)])
                assert [Published.WRITTEN] == await one.publish([replace(snapshot("0"), revision=11)])
