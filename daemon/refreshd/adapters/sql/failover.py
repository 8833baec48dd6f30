"""A database that went away: for a moment after its return nothing is claimed, so that no spent refresh token is presented.

Others may still hold answers that it lacks: one that could not be committed while it was away, or one whose commit died with
the old primary. Each replica brings its own back with its next sign of life; who was alive lately is waited for until then, but
no longer than the pause. The same at a start, which may fall into a failover.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock

from refreshd.adapters.sql.engines import DatabaseTime
from refreshd.adapters.sql.schema import HEAD
from refreshd.ports.clock import Clock
from refreshd.ports.store import StoreUnavailable

LATELY = timedelta(minutes=10)
"""Before the last sign of anybody: whoever was silent for longer has committed nothing that a failover may have lost."""


class Failover:
    """Shared by the store's threads. `restoring`: what we hold ourselves has not been brought back yet.

    `schema`: what the database was last seen to have. Newer than ours, somebody has upgraded it under us, and we leave the work
    to the newer program. `count`: how often it went away.
    """

    def __init__(self, clock: Clock, *, pause: timedelta) -> None:
        """`pause`: how long a replica may take to come back to a database that is there again (`domain.policy`)."""
        self._clock = clock
        self._pause = pause.total_seconds()
        self._awaited: Mapping[str, datetime] | None = None
        self._lock = Lock()
        self._server: datetime | None = None
        self._since = clock.boottime()
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
        if self.waits:
            raise StoreUnavailable(
                "the database has just come back, or we have; nothing is claimed until answers held elsewhere are in it"
            )

    @property
    def waits(self) -> bool:
        """Whether answers may be missing: ours, or those of somebody who has given no sign of life since."""
        silent = self._awaited is None or bool(self._awaited)
        return self.restoring or (silent and self._clock.boottime() - self._since < self._pause)

    def await_others(self, signs: Mapping[str, datetime]) -> None:
        """What the database has as the others' last signs of life. One that changes, or is taken back, is a new one.

        Compared for being equal, not for its time: another primary may have another clock.
        """
        with self._lock:
            if self._awaited is None:
                newest = max(signs.values(), default=None)
                self._awaited = {name: at for name, at in signs.items() if newest and at > newest - LATELY}
            else:
                self._awaited = {name: at for name, at in self._awaited.items() if signs.get(name) == at}

    def _begin(self) -> None:
        self._since = self._clock.boottime()
        self._awaited = None
        self.restoring = True
        self.count += 1
