"""Who is measured beside the daemon, and how: each a process of its own that refreshes until it is ended."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.token_provider import TokenProvider

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """`logins`: more than it can refresh in the time; `warm_up`: refreshes before measuring begins."""

    name: str
    module: str
    logins: int
    warm_up: int


BARE_POST = Contender(name="bare POST loop", module="bare_post", logins=0, warm_up=500)
FLOOR = Contender(name="floor", module="floor", logins=60_000, warm_up=500)
THREADS = Contender(name="64 threads + requests", module="threads", logins=10_000, warm_up=500)
AUTHLIB = Contender(name="shared Authlib client", module="shared_authlib", logins=10_000, warm_up=500)
SEQUENTIAL = Contender(name="sequential requests-oauthlib", module="sequential", logins=5_000, warm_up=5)
CONTENDERS = (BARE_POST, FLOOR, THREADS, AUTHLIB, SEQUENTIAL)


@contextmanager
def at_work(one: Contender, directory: Path, provider: TokenProvider, redis_url: str) -> Iterator[int]:
    """The contender's process, refreshing; yields its id."""
    directory.mkdir(parents=True)
    log = directory / "output.log"
    command = [sys.executable, "-m", f"bench.subjects.{one.module}", provider.url]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, directory / "logins.db", redis_url, str(one.logins)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process.pid
        if process.poll() is not None:
            raise RuntimeError(f"{one.name} ended by itself: {log.read_text()[-2000:]}")
    finally:
        process.kill()  # nothing of it is needed any more
        process.wait()
