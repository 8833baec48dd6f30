"""Consumers whose token was refused, with the real daemon, provider and Redis (contract §4: PREFIX:requests)."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis as AsyncRedis

from refreshd_client import AsyncTokenReader, TokenReader
from refreshd_client.httpx_auth import HttpxAuth
from tests.components.oidc_server import OidcServer
from tests.components.redis_server import RedisServer
from tests.system.installation import Installation, until

ID = "basic/0000"
REQUESTS = 1000
READERS, TASKS = 20, 50
FIRST = "2"  # an undated import is generation 1, its first access token 2
LONG_LIFE = 3600


@pytest.fixture(scope="module")
def oidc_process() -> Any:
    """Access tokens that live for an hour: only a request can have them refreshed."""
    with OidcServer(access_token_ttl=LONG_LIFE) as server:
        yield server


def shown(redis_server: RedisServer) -> str | None:
    found: Any = redis_server.client().hget(f"refreshd:token:{ID}", "generation")
    return None if found is None else str(found)


@pytest.mark.timeout(120)
def test_a_thousand_concurrent_requests_cause_one_refresh(
    install: Callable[..., Installation], oidc: OidcServer, redis_server: RedisServer
) -> None:
    """1,000 entries from 20 connections, and 1,000 tasks of 20 readers that wait: one presentation, and all get the newer token."""
    installation = install(access_token_lifetime="1h")
    [grant] = installation.log_in("basic", 1).values()
    client = redis_server.client()

    def ask(_number: int) -> None:
        client.xadd("refreshd:requests", {"id": ID, "generation": FIRST})

    async def wait_for_newer() -> list[int]:
        redis = [AsyncRedis(host="127.0.0.1", port=redis_server.port) for _ in range(READERS)]
        readers = [AsyncTokenReader(one) for one in redis]
        found = await asyncio.gather(
            *(reader.wait_for_newer(ID, int(FIRST)) for reader in readers for _ in range(TASKS))
        )
        for one in redis:
            await one.aclose()
        return [token.generation for token in found if token is not None]

    with installation.daemon() as daemon:
        until(lambda: shown(redis_server) == FIRST, seconds=20, what="the first token")
        with ThreadPoolExecutor(21) as pool:
            waiting = pool.submit(asyncio.run, wait_for_newer())
            list(pool.map(ask, range(REQUESTS)))
            generations = waiting.result(60)
        ask(0)
        until(lambda: client.xlen("refreshd:requests") == 0, seconds=20, what="an empty stream")
        results = ("accepted", "stale", "unknown", "ignored", "limited", "malformed")
        counts = {result: int(daemon.metric("refreshd_requests_total", result=result)) for result in results}
        assert 0 == daemon.terminate()
    presented = sum(len(token.presentations) for token in oidc.ledger()[grant.grant_id].tokens)
    print(f"requests {counts}, {len(generations)} waited, presented {presented} times")
    assert [3] * READERS * TASKS == generations
    assert ("3", 2, 2) == (shown(redis_server), presented, oidc.stats().token_requests)
    assert (1, 0) == (counts["accepted"], counts["unknown"] + counts["malformed"])
    assert REQUESTS + 1 <= sum(counts.values()) <= REQUESTS + 1 + READERS


@pytest.mark.timeout(120)
def test_a_token_that_an_api_refuses_is_replaced_before_its_time(
    install: Callable[..., Installation], redis_server: RedisServer
) -> None:
    """With an hour left. The call fails once inside the library, and not for its caller; one more time it is limited."""
    installation = install(access_token_lifetime="1h")
    installation.log_in("basic", 1)
    reader = TokenReader(redis_server.client())
    refused: set[str] = set()

    def api(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401 if request.headers["authorization"].removeprefix("Bearer ") in refused else 200)

    auth = HttpxAuth(reader, ID)
    with installation.daemon() as daemon, httpx.Client(auth=auth, transport=httpx.MockTransport(api)) as http:
        assert 200 == http.get("https://api.example/").status_code
        first = reader.get(ID)
        refused.add(first.access_token)
        answer = http.get("https://api.example/")
        assert (200, [401]) == (answer.status_code, [one.status_code for one in answer.history])
        second = reader.get(ID, min_valid=LONG_LIFE / 2)
        assert first.generation + 1 == second.generation
        refused.add(second.access_token)
        assert 401 == http.get("https://api.example/").status_code
        asked = daemon.wait_for("credential.refresh_requested", count=2)
        installation.planted |= refused
    expected = [("accepted", ID, first.generation), ("limited", ID, second.generation)]
    assert expected == [(one["verdict"], one["id"], one["generation"]) for one in asked]
