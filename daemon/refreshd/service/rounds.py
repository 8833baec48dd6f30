"""Work that is done once and then again at each tick."""

import asyncio
from abc import ABC, abstractmethod

from refreshd.domain.events import StoreFailed
from refreshd.ports.observer import Observer
from refreshd.ports.store import StoreUnavailable


class Rounds(ABC):
    """A subclass says what one round is. `doing`: what a log line calls it."""

    def __init__(self, *, doing: str, observer: Observer) -> None:
        self._doing = doing
        self._observer = observer
        self._event = asyncio.Event()

    def tick(self) -> None:
        self._event.set()

    async def run(self) -> None:
        """Until cancelled. A store that does not answer is told of, and tried again at the next tick."""
        while True:
            self._event.clear()
            try:
                await self.round()
            except StoreUnavailable as exc:
                self._observer.on_event(StoreFailed(doing=self._doing, error=str(exc)))
            await self._event.wait()

    @abstractmethod
    async def round(self) -> None:
        """Raises `StoreUnavailable`."""
