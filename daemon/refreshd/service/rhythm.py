"""How soon to look for due work again: once a tick while little falls due, up to twenty times a second while much does.

What falls due during a second would otherwise leave all at once, and queue behind itself. A freed slot waits a moment for
others, so that one claim, which is a transaction of its own, serves several.
"""

import math

STEADY = 8.0  # rows that one look should find
SHORTEST = 0.05  # seconds between two looks
MEMORY = 2.0  # seconds over which what falls due is averaged
GATHER = 0.008  # seconds that a freed slot waits for others


class Rhythm:
    """Told of each look; all times are seconds on one clock."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._looked_at: float | None = None

    def looked(self, found: int, *, now: float) -> None:
        """`found`: rows that a look at `now` has claimed."""
        if self._looked_at is not None:
            self._rate *= math.exp(-(now - self._looked_at) / MEMORY)
        self._rate += found / MEMORY
        self._looked_at = now

    @property
    def pause(self) -> float:
        """Seconds until the next look; infinite when the tick is soon enough."""
        return math.inf if self._rate < STEADY else max(SHORTEST, STEADY / self._rate)
