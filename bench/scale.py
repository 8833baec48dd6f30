"""`python -m bench scale`: the same daemon with ten thousand, a hundred thousand and a million stored credentials."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.bulk import CommitWatcher, bare_insert_rate, imported
from bench.credentials import write_grants
from bench.exposition import highest
from bench.installation import Installation, daemon, install, wait_until
from bench.outage import EXPIRED, add_urgent, catch_up, let_a_day_pass
from bench.processes import peak_mebibytes
from bench.standing import empty_tick_ms, imports_mebibytes
from bench.subjects.daemon import BEFORE_EXPIRY
from bench.token_provider import TokenProvider, token_provider
from tests.components.redis_server import RedisServer

BULK, BEAT = "bulk", "beat"
HALF_A_DAY = 43_200.0
BEATS = 200
BEAT_SECONDS = 20
BESIDE = 20_000
SLOWEST_PUBLICATION = 300.0  # credentials per second that is waited for
DEADLINE = 'refresh_token_lifetime = "30d"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One size. Rates per second, sizes in MiB, times in seconds unless named otherwise."""

    size: int
    import_rate: float
    import_ratio: float
    import_memory: float
    file_size: float
    first_refresh: float
    publication_rate: float
    commit_wait: float
    publish_lag: float
    scrape_kib: float
    republication_rate: float
    republication_seconds: float
    memory: float
    memory_above: float
    tick_ms: float
    catch_up_rate: float
    overtaken: float


def run(size: int) -> Scale:
    """Everything of one size, in one store."""
    with (
        tempfile.TemporaryDirectory(prefix="refreshd-scale-") as name,
        RedisServer() as redis,
        token_provider(Path(name)) as provider,
        token_provider(Path(name), expires_in=BEAT_SECONDS) as beat,
    ):
        endpoints = {BULK: provider.url, BEAT: beat.url}
        installed = install(Path(name) / "home", endpoints=endpoints, redis_url=redis.url, extra=DEADLINE)
        file = Path(name) / "bulk.jsonl"
        _write(file, size, EXPIRED)
        quiet = imported(installed, file, size)
        file.unlink()
        _say(size, f"imported at {quiet.rate:,.0f}/s")
        bare = bare_insert_rate(installed.database, Path(name) / "bare.db", size)
        _say(size, f"a bare executemany {bare:,.0f}/s")
        file_size = installed.database.stat().st_size / 1048576
        running = _running(installed, redis, beat, size)
        tick = empty_tick_ms(installed, BULK)
        _say(size, f"an empty tick takes {tick:.2f} ms")
        add_urgent(installed, BULK)
        let_a_day_pass(installed)
        late = catch_up(installed, provider)
        _say(size, f"catches up at {late.rate:,.0f}/s")
        return Scale(
            size=size,
            import_rate=quiet.rate,
            import_ratio=quiet.rate / bare,
            import_memory=quiet.mebibytes,
            file_size=file_size,
            tick_ms=tick,
            catch_up_rate=late.rate,
            overtaken=late.overtaken,
            **running,
        )


def _running(installed: Installation, redis: RedisServer, beat: TokenProvider, size: int) -> dict[str, float]:
    """A daemon beside which a few credentials are always refreshed; started, loaded, flushed."""
    beats, more = installed.directory / "beats.jsonl", installed.directory / "more.jsonl"
    due_at = time.time() + BEFORE_EXPIRY
    write_grants(beats, BEATS, client=BEAT, label="b", expires_at=lambda number: due_at + number * 0.06)
    imported(installed, beats, BEATS)
    began = time.monotonic()
    with daemon(installed) as pid:
        wait_until(lambda: beat.seen().requests > 0, seconds=300, what="the first refresh", every=0.01)
        first_refresh = time.monotonic() - began
        _say(size, f"first refresh after {first_refresh:.1f} s")
        shown_after = _all_shown(redis, size, began)
        _say(size, f"published at {size / shown_after:,.0f}/s")
        before = installed.metrics()
        beside = min(BESIDE, size)
        _write(more, beside, f"{EXPIRED}m")
        with CommitWatcher(installed.database, label="b") as watcher:
            time.sleep(1)
            imported(installed, more, beside)
        _say(size, f"a commit waited {max(watcher.waits):.3f} s at most beside an import")
        lag = highest(before, installed.metrics(), "refreshd_publish_lag_seconds")
        scrape = len(installed.exposition()) / 1024
        _all_shown(redis, size + beside, time.monotonic())
        redis.client().flushall(asynchronous=True)  # millions of keys take longer to free than a client waits
        republished_after = _all_shown(redis, size + beside, time.monotonic())
        _say(size, f"shown again after {republished_after:.1f} s")
        memory = peak_mebibytes(pid)
        _say(size, f"peak memory {memory:.0f} MiB")
    return {
        "first_refresh": first_refresh,
        "publication_rate": size / shown_after,
        "commit_wait": max(watcher.waits),
        "publish_lag": lag,
        "scrape_kib": scrape,
        "republication_rate": 2 * (size + beside) / republished_after,
        "republication_seconds": republished_after,
        "memory": memory,
        "memory_above": memory - imports_mebibytes(),
    }


def _all_shown(redis: RedisServer, size: int, since: float) -> float:
    """Seconds since then until Redis holds token and status of every credential; a few beats may just have expired."""
    client = redis.client()
    seconds = 120 + size / SLOWEST_PUBLICATION
    wait_until(lambda: client.dbsize() >= 2 * size, seconds=seconds, what=f"{2 * size} keys in Redis", every=0.1)
    return time.monotonic() - since


def _write(file: Path, count: int, label: str) -> None:
    end = time.time() + HALF_A_DAY
    write_grants(file, count, client=BULK, label=label, lifetime=2 * HALF_A_DAY, expires_at=lambda _number: end)


def _say(size: int, text: str) -> None:
    print(f"{size:,}: {text}", flush=True)
