"""Both readers against a real Redis. `call` runs the same step on either, so that neither can do something else."""

import asyncio
import pickle
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from redis.asyncio import Redis as AsyncRedis

from refreshd_client import AsyncTokenReader, Reason, Token, TokenReader, TokenUnavailable
from written_by_hand import FIRST, ID, SECOND, asked, publish, show, withdraw

Call = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, store: redis.Redis, async_store: AsyncRedis) -> Call:
    """`call(method, ..., of=options)`: one method of a reader; the same reader for the same options."""
    readers: dict[str, Any] = {}

    async def run(method: str, *arguments: Any, of: dict[str, Any] | None = None, **named: Any) -> Any:
        key = repr(of)
        if request.param == "sync":
            reader = readers.setdefault(key, TokenReader(store, **(of or {})))
            return await asyncio.to_thread(getattr(reader, method), *arguments, **named)
        reader = readers.setdefault(key, AsyncTokenReader(async_store, **(of or {})))
        return await getattr(reader, method)(*arguments, **named)

    return run


async def refused(call: Call, **named: Any) -> TokenUnavailable:
    with pytest.raises(TokenUnavailable) as caught:
        await call("get", ID, **named)
    return caught.value


async def test_a_token_is_read_with_what_belongs_to_it(call: Call, store: redis.Redis) -> None:
    """Everything but the token itself may be shown."""
    publish(store)
    token = await call("get", ID)
    assert (
        Token(
            access_token=FIRST,
            token_type="bearer",
            scope="offline read",
            generation=1,
            issued_at=datetime.fromtimestamp(1899996400, UTC),
            expires_at=datetime.fromtimestamp(1900000000, UTC),
        )
        == token
    )
    assert f"Bearer {FIRST}" == token.authorization
    assert FIRST not in f"{token!r} {token}"


async def test_another_prefix_is_another_world(call: Call, store: redis.Redis) -> None:
    """The prefix is the daemon's setting; braces, colons and the like in it or in the id are just characters."""
    publish(store, prefix="a{b}:c")
    assert FIRST == (await call("get", ID, of={"prefix": "a{b}:c"})).access_token
    assert Reason.UNKNOWN_ID is (await refused(call)).reason


async def test_a_replaced_token_is_served_for_a_second_at_most(call: Call, store: redis.Redis) -> None:
    """And within that second without asking Redis."""
    publish(store)
    assert FIRST == (await call("get", ID)).access_token
    replaced_at = time.monotonic()
    publish(store, SECOND, 2)
    served = []
    while time.monotonic() - replaced_at < 1.5:
        served.append((time.monotonic() - replaced_at, (await call("get", ID)).access_token))
        await asyncio.sleep(0.01)
    last = max(at for at, token in served if token == FIRST)
    assert 0.2 < last <= 1.0
    assert SECOND == served[-1][1]


async def test_an_expired_token_is_not_served_at_all(call: Call, store: redis.Redis) -> None:
    """The cache ends with the life that Redis counted, by whatever clock the token was dated."""
    publish(store, life=0.3)
    assert FIRST == (await call("get", ID)).access_token
    await asyncio.sleep(0.31)
    assert Reason.NO_LIVING_TOKEN is (await refused(call)).reason


async def test_a_successor_is_found_when_the_remembered_token_has_died(call: Call, store: redis.Redis) -> None:
    """Within the second in which a look may be used."""
    publish(store, life=0.3)
    await call("get", ID)
    publish(store, SECOND, 2)
    await asyncio.sleep(0.31)
    assert SECOND == (await call("get", ID)).access_token


async def test_without_a_cache_every_get_asks(call: Call, store: redis.Redis) -> None:
    """max_age=0."""
    publish(store)
    assert FIRST == (await call("get", ID, of={"max_age": 0})).access_token
    publish(store, SECOND, 2)
    assert SECOND == (await call("get", ID, of={"max_age": 0})).access_token


@pytest.mark.parametrize("length", [30, timedelta(seconds=30)])
async def test_min_valid_counts_the_life_that_is_left(
    call: Call, store: redis.Redis, length: float | timedelta
) -> None:
    """By Redis' count, from memory or not."""
    publish(store, life=31)
    assert FIRST == (await call("get", ID, min_valid=length)).access_token
    publish(store, life=29)
    assert FIRST == (await call("get", ID, min_valid=length, of=None)).access_token  # still what was read
    assert Reason.EXPIRES_SOON is (await refused(call, min_valid=length, of={"max_age": 0})).reason
    assert FIRST == (await call("get", ID)).access_token
    assert [] == asked(store)


async def test_a_get_that_waits_asks_for_a_token_that_lives_longer(call: Call, store: redis.Redis) -> None:
    """Once, with the generation that is too short; the daemon's answer ends the wait."""
    publish(store, life=5)
    timer = threading.Timer(0.4, publish, (store, SECOND, 2))
    timer.start()
    assert SECOND == (await call("get", ID, min_valid=30, wait=5)).access_token
    timer.join()
    assert [{"id": ID, "generation": "1"}] == asked(store)


async def test_a_get_may_wait_for_a_token_to_come(call: Call, store: redis.Redis) -> None:
    """After a flush, or an outage of the provider; nothing is asked for, as there is nothing that was refused."""
    timer = threading.Timer(0.3, publish, (store,))
    timer.start()
    assert FIRST == (await call("get", ID, wait=5)).access_token
    timer.join()
    began = time.monotonic()
    store.delete(f"refreshd:token:{ID}")
    assert Reason.NO_LIVING_TOKEN is (await refused(call, wait=0.5, of={"max_age": 0})).reason
    assert 0.5 <= time.monotonic() - began < 2
    assert [] == asked(store)


@pytest.mark.parametrize("status", ["paused", "relogin_required"])
async def test_a_withdrawn_token_says_who_must_act(call: Call, store: redis.Redis, status: str) -> None:
    """Refreshd's own reason code and date, at once also for who would wait."""
    withdraw(store, status, reason="refused", relogin_by="1900000000")
    error = await refused(call, wait=5)
    assert (Reason(status), "refused", datetime.fromtimestamp(1900000000, UTC)) == (
        error.reason,
        error.code,
        error.relogin_by,
    )
    assert ID in str(error)
    assert "(refused)" in str(error)


async def test_reasons_without_a_person(call: Call, store: redis.Redis) -> None:
    """Nothing known; removed; active or held without a living token; another schema in either hash."""
    status = f"refreshd:status:{ID}"
    none = {"max_age": 0}
    assert Reason.UNKNOWN_ID is (await refused(call, of=none)).reason
    show(store, "active")
    assert Reason.NO_LIVING_TOKEN is (await refused(call, of=none)).reason
    show(store, "held", reason="store_behind")
    error = await refused(call, of=none)
    assert (Reason.HELD, "store_behind", None) == (error.reason, error.code, error.relogin_by)
    store.hset(status, "schema", "2")
    assert Reason.UNKNOWN_SCHEMA is (await refused(call, of=none)).reason
    store.hset(status, "schema", "1")
    store.hdel(status, "status")
    assert Reason.REMOVED is (await refused(call, of=none)).reason
    publish(store, schema="2")
    error = await refused(call, of=none)
    assert Reason.UNKNOWN_SCHEMA is error.reason
    assert FIRST not in str(error) + repr(error)


async def test_after_a_401_a_newer_token_is_found_at_once(call: Call, store: redis.Redis) -> None:
    """Past the memory, and without asking the daemon for anything."""
    publish(store)
    await call("get", ID)
    publish(store, SECOND, 2)
    began = time.monotonic()
    assert SECOND == (await call("wait_for_newer", ID, 1)).access_token
    assert time.monotonic() - began < 0.3
    assert [] == asked(store)
    assert SECOND == (await call("get", ID)).access_token


async def test_a_token_on_its_way_is_waited_for_without_a_request(call: Call, store: redis.Redis) -> None:
    """Strict rotation: the old token dies a moment before the new one is published."""
    publish(store)
    timer = threading.Timer(0.2, publish, (store, SECOND, 2))
    timer.start()
    assert SECOND == (await call("wait_for_newer", ID, 1)).access_token
    timer.join()
    assert [] == asked(store)


async def test_a_refused_token_is_asked_about_and_waited_for(call: Call, store: redis.Redis) -> None:
    """With its generation, while the wait goes on."""
    publish(store)
    timer = threading.Timer(1.2, publish, (store, SECOND, 2))
    timer.start()
    assert SECOND == (await call("wait_for_newer", ID, 1)).access_token
    timer.join()
    assert [{"id": ID, "generation": "1"}] == asked(store)


async def test_waiting_ends_and_an_older_generation_is_none(call: Call, store: redis.Redis) -> None:
    """The same token, or an older one that a lagging replica shows, is no reason to call again."""
    publish(store)
    began = time.monotonic()
    assert None is await call("wait_for_newer", ID, 2, wait=1)
    assert 1 <= time.monotonic() - began < 2
    assert [{"id": ID, "generation": "2"}] == asked(store)


async def test_a_withdrawal_ends_the_wait(call: Call, store: redis.Redis) -> None:
    """No newer token will come while a person or an operator is needed."""
    publish(store)
    withdraw(store, "relogin_required")
    began = time.monotonic()
    assert None is await call("wait_for_newer", ID, 1)
    assert time.monotonic() - began < 1


async def test_waiting_is_a_few_reads(call: Call, store: redis.Redis) -> None:
    """Ever more slowly: a wait of two seconds costs fewer than a dozen."""
    publish(store)
    before = reads(store)
    assert None is await call("wait_for_newer", ID, 1, wait=2)
    assert 5 <= reads(store) - before <= 12


async def test_who_may_not_write_waits_all_the_same(
    call: Call, store: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """A right that is missing is said once, and is no error of the call."""
    publish(store)
    store.acl_setuser("default", enabled=True, nopass=True, commands=["-xadd"])
    for _ in range(2):
        assert None is await call("wait_for_newer", ID, 1, wait=1)
    assert 1 == caplog.text.count("no right to write to refreshd:requests")


async def test_errors_of_redis_are_its_own(call: Call, store: redis.Redis) -> None:
    """redis-py's exceptions, with no token in them; the next call is a new one."""
    publish(store)
    store.acl_setuser("default", enabled=True, nopass=True, commands=["-hmget"])
    with pytest.raises(redis.exceptions.NoPermissionError):
        await call("get", ID)
    store.acl_setuser("default", enabled=True, nopass=True, commands=["+hmget"])
    assert FIRST == (await call("get", ID)).access_token


async def test_a_generation_is_asked_about_once_in_a_while(call: Call, store: redis.Redis) -> None:
    """However many calls are refused; another generation is another matter."""
    for generation in (1, 1, 1, 2, 2):
        await call("request_refresh", ID, generation)
    assert ["1", "2"] == [one["generation"] for one in asked(store)]


def test_a_thousand_threads_read_and_ask_as_one(store: redis.Redis) -> None:
    """They share each look, its error and the request; all get the newer token."""
    publish(store)
    reader = TokenReader(store)
    ready = threading.Barrier(200)

    def refused_once() -> str:
        ready.wait(20)
        newer = reader.wait_for_newer(ID, 1)
        return newer.access_token if newer else ""

    before = reads(store)
    with ThreadPoolExecutor(200) as pool:
        waiting = [pool.submit(refused_once) for _ in range(200)]
        time.sleep(1.5)
        publish(store, SECOND, 2)
        assert {SECOND} == {one.result(20) for one in waiting}
    assert [{"id": ID, "generation": "1"}] == asked(store)
    assert reads(store) - before < 100


async def test_a_thousand_tasks_read_and_ask_as_one(store: redis.Redis, async_store: AsyncRedis) -> None:
    """As the threads."""
    publish(store)
    reader = AsyncTokenReader(async_store)
    before = reads(store)
    waiting = [asyncio.create_task(reader.wait_for_newer(ID, 1)) for _ in range(1000)]
    await asyncio.sleep(1.5)
    publish(store, SECOND, 2)
    assert {SECOND} == {token.access_token for token in await asyncio.gather(*waiting) if token}
    assert [{"id": ID, "generation": "1"}] == asked(store)
    assert reads(store) - before < 100


async def test_a_cancelled_task_takes_nobody_with_it(store: redis.Redis, async_store: AsyncRedis) -> None:
    """The look is shared: who began it may go."""
    publish(store)
    reader = AsyncTokenReader(async_store)
    first, second = (asyncio.create_task(reader.get(ID)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert FIRST == (await second).access_token
    assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], asyncio.CancelledError)


async def test_an_error_is_shared_and_then_forgotten(store: redis.Redis, async_store: AsyncRedis) -> None:
    """By those who waited for that look, and no other."""
    store.acl_setuser("default", enabled=True, nopass=True, commands=["-hmget"])
    reader = AsyncTokenReader(async_store)
    found = await asyncio.gather(*(reader.get(ID) for _ in range(20)), return_exceptions=True)
    assert {redis.exceptions.NoPermissionError} == {type(one) for one in found}
    store.acl_setuser("default", enabled=True, nopass=True, commands=["+hmget"])
    publish(store)
    assert FIRST == (await reader.get(ID)).access_token


def test_bad_arguments_are_refused_in_words(store: redis.Redis, async_store: AsyncRedis) -> None:
    """Each with what would be right."""
    with pytest.raises(ValueError, match="at most 1 s"):
        TokenReader(store, max_age=5)
    with pytest.raises(ValueError, match="min_valid must not be negative"):
        TokenReader(store).get(ID, min_valid=-1)
    with pytest.raises(ValueError, match="wait must not be negative"):
        TokenReader(store).get(ID, wait=float("nan"))
    with pytest.raises(TypeError, match="give it to AsyncTokenReader"):
        TokenReader(async_store)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(TypeError, match="give it to TokenReader"):
        AsyncTokenReader(store)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(TypeError, match="id is a str"):
        TokenReader(store).get(b"acme/1")  # type: ignore[arg-type]  # the mistake


def test_an_error_crosses_processes() -> None:
    """Task queues pickle exceptions."""
    error = TokenUnavailable(ID, Reason.PAUSED, "code", datetime.fromtimestamp(1, UTC))
    again = pickle.loads(pickle.dumps(error))
    assert (str(error), error.args) == (str(again), again.args)


def test_what_is_remembered_is_bounded(store: redis.Redis) -> None:
    """Ids without end cost no memory without end."""
    reader = TokenReader(store)
    for number in range(10_050):
        reader.request_refresh(f"c{number}", 1)
        if number % 50 == 0:
            with pytest.raises(TokenUnavailable):
                reader.get(f"c{number}")
    assert len(reader._memory._asked) < 10_001
    assert len(asked(store)) < 1200


def reads(store: redis.Redis) -> int:
    stats: Any = store.info("commandstats")
    return int(stats.get("cmdstat_hmget", {}).get("calls", 0))
