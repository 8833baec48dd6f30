"""What hiredis packs is what redis-py would have sent."""

import pytest
from redis.asyncio.connection import Connection

from refreshd.adapters.redis.connecting import connect  # noqa: F401 - registers the lenient encoding
from refreshd.adapters.redis.packing import packing


@pytest.mark.parametrize(
    "command",
    [
        ("EVALSHA", "0a", 1, "refreshd:status:a", "7", "0", "status", "active"),
        ("SCRIPT LOAD", "return 1"),
        ("XADD", "refreshd:events", "MAXLEN", "~", 10_000, "*", "id", "gr\u00fc\u00df/\u20ac"),
        ("HSET", "k", "access_token", "half \ud800 a character"),
        ("SET", "k", "", 1.5, b"\x00\xff"),
        ("SET", "k", "x" * 100_000),
    ],
)
def test_every_command_leaves_as_it_did(command: tuple[str | int | float | bytes, ...]) -> None:
    """Also of two words, and with text that no encoding knows."""
    plain, ours = (kind(encoding_errors="refreshd-lenient") for kind in (Connection, packing(Connection)))
    assert b"".join(plain.pack_command(*command)) == b"".join(ours.pack_command(*command))
