"""Subject (c): the least that does the same durable work. 256 in flight, commits in groups that wait 10 ms for company.

Intent before the request, encryption at rest, an fsync before Redis shows anything. No limits, no errors, no metrics, no log.
"""

import asyncio
import os
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.asyncio import Redis

from bench.subjects.floor_protocol import Line
from bench.subjects.table import KEEP, fill, opened

IN_FLIGHT = 256
LINGER = 0.01
PAGE = 256
_CIPHER = AESGCM(bytes(32))
_CLAIM = """
UPDATE login SET started_at = ? WHERE id IN (SELECT id FROM login WHERE started_at IS NULL AND id > ? ORDER BY id LIMIT ?)
RETURNING id, refresh_token
"""


def sealed(text: str) -> bytes:
    nonce = os.urandom(12)
    return nonce + _CIPHER.encrypt(nonce, text.encode(), b"bench")


def unsealed(data: bytes) -> str:
    return _CIPHER.decrypt(data[:12], data[12:], b"bench").decode()


class Pipeline:
    """Claims feed workers, workers feed the writer, the writer feeds Redis."""

    def __init__(self, store: sqlite3.Connection, url: str, redis: "Redis") -> None:
        self._store = store
        self._address = urlsplit(url)
        self._redis = redis
        self._thread = ThreadPoolExecutor(1)
        self._claimed: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(IN_FLIGHT)
        self._answered: list[tuple[bytes, bytes, float, str, str]] = []
        self._some = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claim())
            group.create_task(self._write())
            for _ in range(IN_FLIGHT):
                group.create_task(self._work())

    async def _claim(self) -> None:
        loop, last = asyncio.get_running_loop(), ""
        while rows := await loop.run_in_executor(self._thread, self._take, last):
            last = max(name for name, _ in rows)
            for row in rows:
                await self._claimed.put(row)

    def _take(self, last: str) -> list[tuple[str, bytes]]:
        return self._store.execute(_CLAIM, (time.time(), last, PAGE)).fetchall()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(Line, "127.0.0.1", self._address.port or 80)
        while True:
            name, token = await self._claimed.get()
            form = {"grant_type": "refresh_token", "refresh_token": unsealed(token), "client_id": "bench"}
            body = urlencode(form).encode()
            head = f"POST {self._address.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
            answer = orjson.loads(await line.post(head.encode() + body))
            access, end = answer["access_token"], time.time() + answer["expires_in"]
            self._answered.append((sealed(answer["refresh_token"]), sealed(access), end, name, access))
            self._some.set()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._some.wait()
            await asyncio.sleep(LINGER)
            self._some.clear()
            group, self._answered = self._answered, []
            await loop.run_in_executor(self._thread, self._commit, [one[:4] for one in group])
            async with self._redis.pipeline(transaction=False) as pipe:
                for _, _, end, name, access in group:
                    pipe.hset(f"floor:{name}", mapping={"access_token": access, "expires_at": int(end)})
                    pipe.expireat(f"floor:{name}", int(end))
                    pipe.xadd("floor:events", {"id": name}, maxlen=10_000, approximate=True)
                await pipe.execute()

    def _commit(self, rows: list[tuple[bytes, bytes, float, str]]) -> None:
        self._store.execute("BEGIN IMMEDIATE")
        self._store.executemany(KEEP, rows)
        self._store.execute("COMMIT")


async def main(url: str, path: Path, redis_url: str, count: int) -> None:
    """Refresh until the process is ended, or all are done."""
    fill(path, count, seal=sealed)
    redis = Redis.from_url(redis_url, protocol=2)
    try:
        await Pipeline(opened(path), url, redis).run()
    finally:
        await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
