"""What stands for Redis in other tests answers as Redis does, and shows what it would show, whatever the order of calls."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.adapters.redis.connecting import Direct
from refreshd.adapters.redis.publisher import RedisPublisher
from refreshd.adapters.system_clock import SystemClock
from refreshd.domain.credential import AccessToken, ClientName, CredentialId, Status
from refreshd.domain.secret import Secret
from refreshd.ports.publisher import Publisher, Snapshot
from tests.components.redis_server import RedisServer
from tests.fakes import MemoryPublisher
from tests.programme.simulated.keyspace import KEYS, Server, SimPublisher
from tests.programme.virtual_time import Timeline

STORE = "ours"
CLOCK = SystemClock()
NAMES = [CredentialId(name) for name in ("a", "team/../b@c")]
IDENTITY = {"store_id": STORE, "environment": "production", "instance": "i1", "started_at": "1"}


class Stage(Protocol):
    """A publisher, and what others do to its Redis."""

    @property
    def publisher(self) -> Publisher: ...
    def usurp(self) -> None: ...
    def flush(self) -> None: ...
    def token(self, name: str) -> str | None: ...


class RealStage:
    def __init__(self, server: RedisServer, publisher: RedisPublisher) -> None:
        self.publisher = publisher
        self._client = server.client()
        self._client.flushall()

    def usurp(self) -> None:
        self._client.hset(KEYS.meta, "store_id", "another")

    def flush(self) -> None:
        self._client.flushall()

    def token(self, name: str) -> str | None:
        found = self._client.hget(KEYS.token(name), "access_token")
        assert found is None or isinstance(found, str)
        return found


class SimulatedStage:
    def __init__(self) -> None:
        self._server = Server(Timeline(asyncio.get_running_loop()), random.Random(1))
        self.publisher = SimPublisher(self._server, store_id=STORE, alive=lambda: None)

    def usurp(self) -> None:
        self._server.meta = "another"

    def flush(self) -> None:
        self._server.flush()

    def token(self, name: str) -> str | None:
        entry = self._server.get(KEYS.token(name))
        return entry.fields.get("access_token") if entry else None


class MemoryStage:
    def __init__(self) -> None:
        self.publisher: MemoryPublisher = MemoryPublisher()

    def usurp(self) -> None:
        self.publisher.meta = "another"

    def flush(self) -> None:
        self.publisher.flush()

    def token(self, name: str) -> str | None:
        """It has no lives, so it is not compared."""
        raise NotImplementedError(name)


@dataclass(frozen=True, slots=True)
class Publish:
    snapshots: tuple[Snapshot, ...]
    taking: bool


@dataclass(frozen=True, slots=True)
class Announce:
    take: bool


@dataclass(frozen=True, slots=True)
class Usurp:
    pass


@dataclass(frozen=True, slots=True)
class Flush:
    pass


Step = Publish | Announce | Usurp | Flush


def snapshot(name: CredentialId, revision: int, generation: int, status: Status, life: timedelta | None) -> Snapshot:
    now = CLOCK.now()
    access = AccessToken(
        value=Secret(f"token-{revision}-{life}"),
        token_type="bearer",
        issued_at=now,
        expires_at=None if life is None else now + life,
    )
    withdrawn = status in (Status.PAUSED, Status.REMOVED, Status.RELOGIN_REQUIRED)
    return Snapshot(
        id=name,
        client=ClientName("acme"),
        status=status,
        reason=None,
        generation=generation,
        revision=revision,
        in_doubt=False,
        relogin_soon=False,
        relogin_by=None,
        relogin_since=None,
        next_refresh_at=None,
        scope="offline",
        access=None if withdrawn else access,
        updated_at=now.replace(microsecond=0),
    )


HOUR = timedelta(hours=1)
LIVES = (HOUR, timedelta(days=1), timedelta(0), -HOUR, None)


def steps(lives: Sequence[timedelta | None]) -> st.SearchStrategy[Step]:
    """`lives`: what a token may have left."""
    snapshots = st.builds(
        snapshot,
        st.sampled_from(NAMES),
        st.integers(1, 6),
        st.integers(1, 3),
        st.sampled_from(Status),
        st.sampled_from(lives),
    )
    batches = st.lists(snapshots, max_size=4).map(tuple)
    return st.one_of(
        st.builds(Publish, batches, st.just(value=False)),
        st.builds(Publish, batches, st.booleans()),
        st.builds(Announce, st.booleans()),
        st.just(Usurp()),
        st.just(Flush()),
    )


async def told(stage: Stage, todo: Sequence[Step], *, reads: bool) -> list[object]:
    """What each call came to, and what the daemon and, with `reads`, a consumer then find."""
    found: list[object] = []
    for step in todo:
        match step:
            case Publish(snapshots=batch, taking=taking):
                found.append(list(await stage.publisher.publish(batch, now=CLOCK.now(), taking=taking)))
            case Announce(take=take):
                found.append(replace(await stage.publisher.announce(take=take), servers="", evicting=""))
            case Usurp():
                stage.usurp()
            case Flush():
                stage.flush()
        counters = await stage.publisher.published(NAMES)
        found.append({name: (one.generation, one.revision) for name, one in counters.items()})
        found.append((await stage.publisher.look()).intact)
        found.append([stage.token(name) for name in NAMES] if reads else [])
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.mark.parametrize(
    ("make", "lives", "reads"),
    [(SimulatedStage, LIVES, True), (MemoryStage, [HOUR], False)],
    ids=["simulated", "memory"],
)
@given(data=st.data())
def test_a_stand_in_answers_as_redis_does(
    server: RedisServer,
    make: Callable[[], Stage],
    lives: Sequence[timedelta | None],
    reads: bool,  # noqa: FBT001 - a parameter of the test
    data: st.DataObject,
) -> None:
    """Results of every batch, whose keys they are, the counters to compare with, and the tokens that can be read."""
    announced = [Announce(take=False), *data.draw(st.lists(steps(lives), max_size=12))]
    place = Direct(url=Secret(server.url))

    async def both() -> None:
        async with RedisPublisher(place, prefix="refreshd", identity=IDENTITY, clock=CLOCK) as publisher:
            real = await told(RealStage(server, publisher), announced, reads=reads)
        assert real == await told(make(), announced, reads=reads)

    asyncio.run(both())
