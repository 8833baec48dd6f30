"""Time, as three different things."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, aware UTC. May step."""
        ...

    def monotonic(self) -> float:
        """Seconds for intervals; stands still while the machine sleeps."""
        ...

    def boottime(self) -> float:
        """Seconds that go on while the machine sleeps; leases are measured with it."""
        ...
