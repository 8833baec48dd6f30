"""Subject (d): one Authlib client for all credentials, 64 at a time. One commit and one SET a refresh."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from authlib.integrations.httpx_client import AsyncOAuth2Client
from redis.asyncio import Redis

from bench.subjects.table import fill, keep, logins, opened, unsealed

IN_FLIGHT = 64


async def main(url: str, path: Path, redis_url: str, count: int) -> None:
    """Refresh until the process is ended, or all are done."""
    fill(path, count)
    store, lock, redis = opened(path), asyncio.Lock(), Redis.from_url(redis_url)
    client = AsyncOAuth2Client("bench", "bench", token_endpoint=url, scope="offline read", timeout=90)

    async def work(waiting: Iterator[tuple[str, bytes]]) -> None:
        for name, token in waiting:
            tokens = await client.refresh_token(url, refresh_token=unsealed(token))
            async with lock:
                await asyncio.to_thread(keep, store, name, tokens)
            await redis.set(f"authlib:{name}", tokens["access_token"], ex=int(tokens["expires_in"]))

    waiting = iter(logins(path))
    async with client, asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work(waiting))
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
