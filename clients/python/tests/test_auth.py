"""The 401 rule through real httpx and requests, against an API over HTTP that refuses old tokens."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import httpx
import pytest
import redis
import requests
from redis.asyncio import Redis as AsyncRedis

from conftest import Api
from refreshd_client import AsyncTokenReader, Reason, TokenReader, TokenUnavailable
from refreshd_client.httpx_auth import AsyncHttpxAuth, HttpxAuth
from refreshd_client.requests_auth import RequestsAuth
from written_by_hand import FIRST, ID, SECOND, asked, publish

Send = Callable[..., Coroutine[Any, Any, tuple[int, str]]]


@pytest.fixture(params=["httpx", "httpx async", "requests"])
def send(request: pytest.FixtureRequest, store: redis.Redis, async_store: AsyncRedis, api: Api) -> Send:
    """`send(path, body, wait=...)`: one call of the API, GET without a body; returns status and text."""

    def blocking(path: str, body: Any, wait: float) -> tuple[int, str]:
        answer: Any
        method = "GET" if body is None else "POST"
        if request.param == "httpx":
            with httpx.Client(auth=HttpxAuth(TokenReader(store), ID, wait=wait), follow_redirects=True) as client:
                answer = client.request(method, api.url + path, content=body)
        else:
            auth = RequestsAuth(TokenReader(store), ID, wait=wait)
            with requests.Session() as session:
                answer = session.request(method, api.url + path, data=body, auth=auth, timeout=20)
        return answer.status_code, answer.text

    async def run(path: str = "/", body: Any = None, *, wait: float = 10) -> tuple[int, str]:
        if request.param != "httpx async":
            return await asyncio.to_thread(blocking, path, body, wait)
        auth = AsyncHttpxAuth(AsyncTokenReader(async_store), ID, wait=wait)
        if isinstance(body, Iterator):
            body = _slowly(body)
        async with httpx.AsyncClient(auth=auth, follow_redirects=True) as client:
            answer = await client.request("GET" if body is None else "POST", api.url + path, content=body)
            return answer.status_code, answer.text

    return run


async def _slowly(body: Iterator[bytes]) -> AsyncIterator[bytes]:
    for part in body:
        yield part


async def test_a_request_carries_the_current_token(send: Send, store: redis.Redis, api: Api) -> None:
    """One request, one answer, no further look."""
    publish(store)
    api.good = {FIRST}
    assert (200, "ok") == await send("/", b"body")
    assert [(FIRST, b"body")] == api.seen


async def test_a_refused_token_is_replaced_and_the_body_sent_again(send: Send, store: redis.Redis, api: Api) -> None:
    """The daemon is asked, its answer is awaited, the call succeeds: its caller notices nothing but the time."""
    publish(store)
    api.good = {SECOND}
    api.after_refusal(1.0, publish, store, SECOND, 2)
    assert (200, "ok") == await send("/", b"body")
    assert [(FIRST, b"body"), (SECOND, b"body")] == api.seen
    assert [{"id": ID, "generation": "1"}] == asked(store)


async def test_a_refusal_of_the_newer_token_is_the_callers(send: Send, store: redis.Redis, api: Api) -> None:
    """Once more, and never a third time."""
    publish(store)
    api.after_refusal(0.2, publish, store, SECOND, 2)
    assert (401, "no") == await send()
    assert [FIRST, SECOND] == [token for token, _ in api.seen]


async def test_without_a_newer_token_the_401_is_the_callers(send: Send, store: redis.Redis, api: Api) -> None:
    """Whole, after the wait, and without a second call with the refused token."""
    publish(store)
    began = time.monotonic()
    assert (401, "no") == await send(wait=1)
    assert 1 <= time.monotonic() - began < 4
    assert ([FIRST], [{"id": ID, "generation": "1"}]) == ([token for token, _ in api.seen], asked(store))


async def test_a_body_that_can_be_sent_once_is_sent_once(send: Send, store: redis.Redis, api: Api) -> None:
    """Half an upload is worse than a 401; the daemon is asked all the same, for the next call."""
    publish(store)
    began = time.monotonic()
    assert (401, "no") == await send("/", iter([b"one", b"two"]))
    assert time.monotonic() - began < 3
    assert [(FIRST, b"onetwo")] == api.seen
    assert [{"id": ID, "generation": "1"}] == asked(store)


async def test_another_hosts_401_is_none_of_ours(send: Send, store: redis.Redis, api: Api) -> None:
    """A redirect to elsewhere takes the token off: what is refused there says nothing about it, and sees none."""
    publish(store)
    api.good = {FIRST}
    began = time.monotonic()
    assert (401, "no") == await send("/away")
    assert time.monotonic() - began < 3
    assert [FIRST, ""] == [token for token, _ in api.seen]
    assert [] == asked(store)


async def test_a_redirect_after_the_replacement_carries_the_newer_token(
    send: Send, store: redis.Redis, api: Api
) -> None:
    """Not the refused one."""
    publish(store)
    api.good = {SECOND}
    api.after_refusal(0.2, publish, store, SECOND, 2)
    assert (200, "ok") == await send("/moved")
    assert [FIRST, SECOND, SECOND] == [token for token, _ in api.seen]


async def test_without_a_token_nothing_is_sent(send: Send, api: Api) -> None:
    """The caller learns why, in the client's own exception."""
    with pytest.raises(TokenUnavailable) as caught:
        await send(wait=0)
    assert (Reason.UNKNOWN_ID, []) == (caught.value.reason, api.seen)


def test_requests_rewinds_a_file_to_where_it_was(store: redis.Redis, api: Api) -> None:
    """What was read of it before the call is not sent the second time either."""
    publish(store)
    api.good = {SECOND}
    body = io.BytesIO(b"header-body")
    body.seek(7)
    api.after_refusal(0.2, publish, store, SECOND, 2)
    answer = requests.post(api.url, data=body, auth=RequestsAuth(TokenReader(store), ID), timeout=20)
    assert (200, [b"body", b"body"]) == (answer.status_code, [body for _, body in api.seen])
    assert [401] == [one.status_code for one in answer.history]


async def test_the_wrong_client_is_refused_in_words(store: redis.Redis, async_store: AsyncRedis, api: Api) -> None:
    """Without that the request would go out without a token."""

    def blocking() -> None:
        httpx.get(api.url, auth=AsyncHttpxAuth(AsyncTokenReader(async_store), ID))

    with pytest.raises(TypeError, match="needs HttpxAuth"):
        await asyncio.to_thread(blocking)
    async with httpx.AsyncClient(auth=HttpxAuth(TokenReader(store), ID)) as client:
        with pytest.raises(TypeError, match="needs AsyncHttpxAuth"):
            await client.get(api.url)
    assert [] == api.seen
