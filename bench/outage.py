"""A day without the daemon, made by moving every stored instant a day back; then the catch-up, as the provider sees it."""

import contextlib
import math
import sqlite3
import time
from dataclasses import dataclass

from bench.bulk import imported
from bench.credentials import write_grants
from bench.installation import Installation, daemon, wait_until
from bench.token_provider import TokenProvider

DAY = 86_400.0
URGENT = 100
CATCH_UP_SECONDS = 20.0
PATIENCE_SECONDS = 180.0
IN_DOUBT, ENDING, LIVING, EXPIRED = "d", "e", "l", "x"
_INSTANTS = (
    "issued_at", "expires_at", "attempt_started_at", "lease_until", "removed_at", "next_attempt_at", "refresh_at",
    "first_rejected_at", "condemned_at", "login_at", "rotated_at", "relogin_by", "attempted_at", "created_at", "updated_at",
)  # fmt: skip
_ABANDONED = """
UPDATE credential SET attempt_id = 'gone/' || id, attempt_owner = 'gone', attempt_started_at = :at, lease_until = :at,
  next_attempt_at = :at, lane = 0 WHERE id >= 'd' AND id < 'e'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """`rate`: refreshes per second; `overtaken`: less urgent requests before the last of a more urgent class (or nan)."""

    rate: float
    overtaken: float


def add_urgent(installed: Installation, client: str) -> None:
    """A hundred of each class that goes before the expired ones; due in a day, so that an outage of a day finds them."""
    now = time.time()
    file = installed.directory / "urgent.jsonl"
    logged_in = {IN_DOUBT: now, ENDING: now - 29 * DAY + 3600, LIVING: now}
    for label, login_at in logged_in.items():
        write_grants(
            file,
            URGENT,
            client=client,
            label=label,
            lifetime=DAY,
            login_at=login_at,
            expires_at=lambda _n: now + DAY + 240,
        )
        imported(installed, file, URGENT)


def let_a_day_pass(installed: Installation) -> None:
    """Also leave some attempts open, as a daemon does that lost its machine."""
    micros = int(DAY * 1e6)
    with contextlib.closing(sqlite3.connect(installed.database)) as connection, connection:
        connection.execute("UPDATE credential SET " + ", ".join(f"{one} = {one} - {micros}" for one in _INSTANTS))
        connection.execute(f"UPDATE store SET last_commit_at = last_commit_at - {micros}")
        connection.execute(_ABANDONED, {"at": int((time.time() - DAY) * 1e6)})


def catch_up(installed: Installation, provider: TokenProvider) -> CatchUp:
    """Start it again: who is asked for first, and how fast it goes from then on."""
    first = provider.seen().requests
    most_urgent = 3 * URGENT
    with daemon(installed):
        wait_until(
            lambda: provider.seen().requests >= first + most_urgent + URGENT,
            seconds=PATIENCE_SECONDS,
            what="the urgent ones are refreshed",
        )
        order = provider.order()[first:]
        before, began = provider.seen().requests, time.monotonic()
        time.sleep(CATCH_UP_SECONDS)
        done, took = provider.seen().requests - before, time.monotonic() - began
    all_came = all(order.count(label) == URGENT for label in (IN_DOUBT, ENDING, LIVING))
    return CatchUp(rate=done / took, overtaken=overtaken(order) if all_came else math.nan)


def overtaken(order: str) -> int:
    """The most requests of less urgent classes that went before the last of a more urgent one."""
    classes = (IN_DOUBT, ENDING, LIVING, EXPIRED)
    worst = 0
    for position, label in enumerate(classes[:-1]):
        before_last = order[: max(0, order.rfind(label))]
        worst = max(worst, sum(before_last.count(later) for later in classes[position + 1 :]))
    return worst
