"""Subject (a): the daemon as users run it, saturated by credentials that all fall due at one instant."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.credentials import write_grants
from bench.exposition import total
from bench.installation import Installation, NotInTime, daemon, install, wait_until
from bench.token_provider import TokenProvider

BEFORE_EXPIRY = 300.0  # refresh_before_expiry's default
CLIENT = "bench"
SHOWN_SECONDS = 120.0


@contextmanager
def saturated(
    directory: Path, provider: TokenProvider, redis_url: str, *, count: int, in_seconds: float
) -> Iterator[tuple[Installation, int]]:
    """A running daemon whose `count` credentials are published, and due `in_seconds` from now."""
    installed = install(directory, endpoints={CLIENT: provider.url}, redis_url=redis_url)
    file = directory / "grants.jsonl"
    due_at = time.time() + in_seconds
    write_grants(file, count, client=CLIENT, label="c", expires_at=lambda _number: due_at + BEFORE_EXPIRY)
    installed.command("import", str(file))
    with daemon(installed) as pid:
        wait_until(lambda: _all_shown(installed, count), seconds=SHOWN_SECONDS, what="everything is published")
        time.sleep(max(0.0, due_at - time.time()))
        yield installed, pid


def check_all_refreshed(installed: Installation) -> None:
    """A daemon that fails fast is not a fast daemon."""
    samples = installed.metrics()
    everything = total(samples, "refreshd_refreshes_total")
    refreshed = total(samples, "refreshd_refreshes_total", 'outcome="refreshed"')
    if not everything or refreshed != everything:
        raise RuntimeError(f"only {refreshed:.0f} of {everything:.0f} requests were refreshes; see {installed.log}")


def _all_shown(installed: Installation, count: int) -> bool:
    """Each credential once as imported and once because the daemon started: work that is not a refresh's is over.

    Raises `NotInTime` when the first one fell due before: then it is not known what was shown for which reason.
    """
    samples = installed.metrics()
    if total(samples, "refreshd_refreshes_total"):
        raise NotInTime("the import and the first publication took longer than was left until the first refresh")
    return total(samples, "refreshd_publishes_total") >= 2 * count
