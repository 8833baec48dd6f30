"""A database that went away: for a moment after its return nothing is claimed, so that no spent refresh token is presented.

Others may still hold answers that it lacks: one that could not be committed while it was away, or one whose commit died with
the old primary. Each replica brings its own back within `PAUSE`.
"""

from datetime import datetime, timedelta
from threading import Lock

from refreshd.adapters.sql.engines import DatabaseTime
from refreshd.adapters.sql.schema import HEAD
from refreshd.ports.clock import Clock
from refreshd.ports.store import StoreUnavailable

PAUSE = timedelta(seconds=7)
"""Longer than the longest wait between two tries to commit."""


class Failover:
    """Shared by the store's threads. `restoring`: what we hold ourselves has not been brought back yet.

    `schema`: what the database was last seen to have. Newer than ours, somebody has upgraded it under us, and we leave the work
    to the newer program. `count`: how often it went away.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._server: datetime | None = None
        self._lost_at: float | None = None
        self.restoring = True  # what a process before us may have left
        self.schema: str | None = None
        self.count = 0

    def lost(self) -> None:
        with self._lock:
            self._begin()

    def restored(self) -> None:
        """What we held is in the database now."""
        self.restoring = False

    def look(self, found: DatabaseTime) -> None:
        """Take note of the server that answers."""
        with self._lock:
            if self._server is not None and found.server != self._server:
                self._begin()
            self._server = found.server

    def check(self, found: DatabaseTime) -> None:
        """Raises `StoreUnavailable` while nothing may be claimed."""
        self.look(found)
        if self.schema is not None and self.schema > HEAD:
            raise StoreUnavailable(
                f"the store has schema {self.schema}, this program knows {HEAD}: nothing is claimed; install the newer refreshd"
            )
        away = self._lost_at is not None and self._clock.boottime() - self._lost_at < PAUSE.total_seconds()
        if away or self.restoring or found.at - found.server < PAUSE:
            raise StoreUnavailable(
                "the database has just come back; nothing is claimed until answers held elsewhere are in it"
            )

    def _begin(self) -> None:
        self._lost_at = self._clock.boottime()
        self.restoring = True
        self.count += 1
