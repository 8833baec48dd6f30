"""How late a provider's event loop came round. On a machine without a core to spare, requests wait meanwhile in their sockets.

The judges date a request by when the provider took it up; with this they know how long it may have lain there.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from refreshd.demo.provider import ProviderThread

Lag = Callable[[float, float], float]
"""For how many of the seconds between two instants (since 1970) the provider did nothing."""

_BEAT = 0.05
_NOTED = 0.01


def on_time(_start: float, _end: float) -> float:
    """A provider that never was late."""
    return 0.0


def lag_of(standstills: Sequence[tuple[float, float]]) -> Lag:
    """`standstills`: from when until when each lasted."""

    def between(start: float, end: float) -> float:
        return sum(max(0.0, min(end, until) - max(start, since)) for since, until in standstills)

    return between


class Heartbeat:
    """Beats on the provider's own loop from now on, for as long as that runs. `worst`: its longest standstill."""

    def __init__(self, provider: ProviderThread) -> None:
        self._standstills: list[tuple[float, float]] = []
        provider.ask(lambda _: self._expect())

    @property
    def worst(self) -> float:
        return max((until - since for since, until in self._standstills), default=0.0)

    def lag(self) -> Lag:
        """Of all beats so far."""
        return lag_of(tuple(self._standstills))

    def _expect(self) -> None:
        asyncio.get_running_loop().call_later(_BEAT, self._beat, time.time() + _BEAT)

    def _beat(self, due: float) -> None:
        now = time.time()
        if now - due > _NOTED:
            self._standstills.append((due, now))
        self._expect()
