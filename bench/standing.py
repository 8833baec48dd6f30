"""What a stored credential costs while nothing is to be done: a tick's look, memory."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from bench.installation import Installation
from refreshd.adapters.sql.store import SqlStore
from refreshd.config import load
from refreshd.domain.credential import ClientName
from refreshd.ports.store import Capacity
from refreshd.wiring.store import open_store

LOOKS = 300
PAGE = 5000
_IMPORTS = """
import asyncio, re
import refreshd.cli.run, refreshd.config, refreshd.wiring.daemon
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def empty_tick_ms(installed: Installation, client: str) -> float:
    """The median of one look that finds nothing: what is due, what is unpublished. The daemon must not run."""
    settings = load(installed.config, environ=os.environ).settings

    async def looks() -> list[float]:
        with open_store(settings) as opened:
            store = SqlStore(opened.engines, opened.codec, owner="bench")
            await _all_published(store)
            room = {ClientName(client): Capacity(count=16, lease=timedelta(minutes=5))}
            times = []
            for _ in range(LOOKS):
                began = time.perf_counter()
                claims = await store.claim_due(now=datetime.now(UTC), capacity=room, total=16, holding=())
                pending = await store.unpublished(limit=200)
                times.append((time.perf_counter() - began) * 1000)
                if claims.attempts or pending:
                    raise RuntimeError("there was something to do")
            store.close()
            return times

    return statistics.median(asyncio.run(looks()))


async def _all_published(store: SqlStore) -> None:
    """What a daemon would have done, so that nothing is left to do."""
    while pending := await store.unpublished(limit=PAGE):
        await store.mark_published(pending)


def imports_mebibytes() -> float:
    """Peak memory of a process that only imported what the daemon imports."""
    done = subprocess.run([sys.executable, "-c", _IMPORTS], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024
