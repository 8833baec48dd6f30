"""The rights that docs/redis.md gives a consumer: enough for the library, and for nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest
import redis

from refreshd_client import TokenReader, TokenUnavailable
from tests.components.redis_server import RedisServer

PAGE = Path(__file__).parents[2] / "docs/redis.md"
ID = "acme/1"


@pytest.fixture
def reader(redis_server: RedisServer) -> redis.Redis:
    """A client of the page's user."""
    [line] = re.findall(r"^user consumer (.*)$", PAGE.read_text(), re.MULTILINE)
    admin: Any = redis_server.client()
    admin.execute_command("ACL", "SETUSER", "reader", *line.replace("CONSUMER-PASSWORD", "pw").split())
    return redis.Redis(port=redis_server.port, username="reader", password="pw")


def test_they_are_enough(redis_server: RedisServer, reader: redis.Redis) -> None:
    """To read, to learn why there is nothing to read, to ask."""
    admin = redis_server.client()
    tokens = TokenReader(reader, max_age=0)
    with pytest.raises(TokenUnavailable):
        tokens.get(ID)
    admin.hset(f"refreshd:token:{ID}", mapping={"access_token": "t", "generation": "1", "schema": "1"})
    assert "t" == tokens.get(ID).access_token
    tokens.request_refresh(ID, 1)
    assert 1 == admin.xlen("refreshd:requests")


@pytest.mark.parametrize(
    "command",
    [
        "SET refreshd:token:acme/1 x",
        "HSET refreshd:token:acme/1 access_token x",
        "DEL refreshd:requests",
        "XADD refreshd:events * type x",
        "XRANGE refreshd:requests - +",
        "HGETALL refreshd:meta",
        "KEYS *",
        "FLUSHALL",
    ],
)
def test_they_are_no_more_than_that(reader: redis.Redis, command: str) -> None:
    """A consumer can neither change what others read, nor see what they ask for."""
    client: Any = reader
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())
