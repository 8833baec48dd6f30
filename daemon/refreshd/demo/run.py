"""Runs the demo: provider, Redis and a consumer here, the daemon as the installed command beside them."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from refreshd.demo.consumer import Consumer
from refreshd.demo.dialects import GRANTS
from refreshd.demo.display import Display
from refreshd.demo.embedded_redis import EmbeddedRedis
from refreshd.demo.grants import Rules
from refreshd.demo.provider import LedgerProvider, new_ledger
from refreshd.demo.provider_only import BASIC, PKCE
from refreshd.domain.refusal import Refusal

STOP_TIMEOUT = 30.0

_CONFIG = """\
environment = "demo"
[scheduler]
scan_interval = "500ms"
refresh_before_expiry = "{margin}s"
request_timeout = "5s"
settle_delay = "1s"
commit_timeout = "5s"
drain_timeout = "15s"
[store]
url = "sqlite:///{directory}/refreshd.db"
encryption_key_file = "{directory}/encryption.key"
[redis]
url_file = "{directory}/redis.url"
key_prefix = "{prefix}"
[http]
listen = "127.0.0.1:0"
"""

_CLIENT = """\
[clients.{name}]
provider = "generic"
token_endpoint = "{url}"
access_token_lifetime = "{lifetime}s"
client_id = "{name}"
scope = "offline read"
max_rate = "200/s"
{secret}
"""


class DemoFailed(Refusal):
    """A part of the demo did not start."""


def run_demo(*, credentials: int, lifetime: float, limit: float | None, redis_url: str | None) -> int:
    """Exit code: 1 if any token was not refreshed in time or ever unreadable. `lifetime` and `limit` in seconds."""
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_Demo(credentials=credentials, lifetime=lifetime, limit=limit, redis_url=redis_url).run())
    return 130


class _Demo:
    def __init__(self, *, credentials: int, lifetime: float, limit: float | None, redis_url: str | None) -> None:
        self._count = credentials
        self._lifetime = int(lifetime)
        self._limit = limit
        self._redis_url = redis_url
        self._prefix = f"refreshd-demo-{secrets.token_hex(3)}"
        self._stop = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        async with AsyncExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="refreshd-demo-")))
            redis_url = self._redis_url or stack.enter_context(_embedded()).url
            secret = secrets.token_urlsafe(24)
            provider = await stack.enter_async_context(
                LedgerProvider(new_ledger({BASIC: secret, PKCE: ""}, Rules(access_lifetime=self._lifetime)))
            )
            ids = self._prepare(directory, provider, redis_url, secret)
            await _command(directory, "keys", "new")
            await _command(directory, "import", str(directory / "logins.jsonl"))
            display = stack.enter_context(Display(self._prefix, redis_url, self._lifetime))
            consumer = Consumer(redis_url, prefix=self._prefix, ids=ids, on_change=display.changed)
            daemon = await stack.enter_async_context(_daemon(directory))
            started = time.monotonic()
            cause = await self._watch(consumer, daemon, display)
            ran = time.monotonic() - started
            faults = self._faults(consumer, provider, ran=ran) + ([cause] if cause else [])
            if faults:
                log = (directory / "daemon.log").read_text(errors="replace").splitlines()[-5:]
                print("\n".join(["FAILED: " + "; ".join(faults), *log]), file=sys.stderr)  # noqa: T201
            return 1 if faults else 0

    def _prepare(self, directory: Path, provider: LedgerProvider, redis_url: str, secret: str) -> list[str]:
        config = _CONFIG.format(directory=directory, prefix=self._prefix, margin=round(self._lifetime * 0.3, 1))
        for name, line in ((BASIC, 'client_secret_file = "client.secret"'), (PKCE, "")):
            config += _CLIENT.format(name=name, url=provider.token_endpoint, lifetime=self._lifetime, secret=line)
        ids = [f"demo/user-{number:03}" for number in range(1, self._count + 1)]
        clients = [BASIC if number % 2 == 0 else PKCE for number in range(self._count)]
        logins = [
            json.dumps({"id": name, "client": client, **provider.log_in(client)})
            for name, client in zip(ids, clients, strict=True)
        ]
        texts = {
            "config.toml": config,
            "client.secret": secret,
            "redis.url": redis_url,
            "logins.jsonl": "\n".join(logins),
        }
        for file, text in texts.items():
            path = directory / file
            path.touch(mode=0o600)
            path.write_text(text)
        return ids

    def _faults(self, consumer: Consumer, provider: LedgerProvider, *, ran: float) -> list[str]:
        """Print the summary and return what went wrong. `ran` in seconds."""
        seen = list(consumer.seen.values())
        verdicts = provider.ledger.verdicts
        refreshed = sum(verdicts[verdict] for verdict in GRANTS)
        refused = provider.requests - refreshed  # also a client that was not let in
        unpublished = sum(not one.published for one in seen)
        unreadable = sum(one.unreadable for one in seen)
        late = sum(one.published and one.expires_at < time.time() for one in seen)
        unmoved = sum(one.changes == 0 for one in seen) if ran > 2 * self._lifetime else 0
        least = min((one.least_left for one in seen), default=0.0)
        print(  # noqa: T201 - the demo's result is its output
            f"{len(seen)} credentials, {ran:.0f} s: {refreshed} refreshes, {refused} refused by the "
            f"provider; unreadable or expired at {unreadable} looks, least life left {least:.1f} s of {self._lifetime} s"
        )
        counted = (
            (unpublished, "never published"),
            (unreadable, "looks found no living token"),
            (late, "expired at the end"),
            (unmoved, "never refreshed"),
            (refused, "refreshes refused"),
        )
        return [f"{count} {text}" for count, text in counted if count]

    async def _watch(self, consumer: Consumer, daemon: asyncio.subprocess.Process, display: Display) -> str:
        """Until the time is up, somebody stops it, or a part ends by itself. Returns what was wrong, "" for nothing."""
        tasks = {
            asyncio.create_task(consumer.run(), name="consumer"),
            asyncio.create_task(daemon.wait(), name="daemon"),
            asyncio.create_task(self._stop.wait(), name="stop"),
            asyncio.create_task(display.run(consumer.seen), name="display"),
        }
        done, rest = await asyncio.wait(tasks, timeout=self._limit, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        early = [task.get_name() for task in done if task.get_name() != "stop"]
        return f"the {early[0]} ended by itself" if early else ""


def _embedded() -> EmbeddedRedis:
    try:
        return EmbeddedRedis()
    except ImportError as exc:
        raise DemoFailed("the demo's Redis needs the extra `refreshd[demo]`; or give --redis-url") from exc


async def _command(directory: Path, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *_refreshd(directory),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_environment(),
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise DemoFailed(f"refreshd {arguments[0]} failed: {out.decode(errors='replace').strip()}")


@asynccontextmanager
async def _daemon(directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with (directory / "daemon.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *_refreshd(directory), "run", stderr=log, env=_environment(), start_new_session=True
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
            if process.returncode is None:
                process.kill()
                await process.wait()


def _refreshd(directory: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "refreshd", "--config", str(directory / "config.toml"))


def _environment() -> dict[str, str]:
    """Ours, without settings that would change the demo's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REFRESHD_")}
