"""One daemon among others on the same store: its share of every client's limits, and whether it keeps house."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from refreshd.domain.events import AnswersRestored, ReplicasCounted, StoreFailed
from refreshd.ports.observer import Observer
from refreshd.ports.replicas import Replicas, Standing
from refreshd.ports.store import StoreUnavailable


class Replica:
    """`tick` is called every other second. `share` is told how many live, `on_return` that the database had been away."""

    def __init__(
        self,
        *,
        replicas: Replicas,
        observer: Observer,
        share: Callable[[int], None],
        on_return: Callable[[], None],
    ) -> None:
        self._replicas = replicas
        self._observer = observer
        self._share = share
        self._on_return = on_return
        self._event = asyncio.Event()
        self._last = Standing(living=0, on_duty=False, returned=0, restored=0)

    @property
    def on_duty(self) -> bool:
        return self._last.on_duty

    def tick(self) -> None:
        self._event.set()

    async def run(self) -> None:
        """Until cancelled; then the others are told, so that they take over our share at once."""
        try:
            while True:
                self._event.clear()
                try:
                    await self.round()
                except StoreUnavailable as exc:
                    self._observer.on_event(StoreFailed(doing="sign of life", error=str(exc)))
                await self._event.wait()
        finally:
            with suppress(StoreUnavailable):  # they will miss us in a while
                await self._replicas.sign_off()

    async def round(self) -> None:
        """Raises `StoreUnavailable`."""
        last, standing = self._last, await self._replicas.sign_of_life()
        self._last = standing
        self._share(standing.living)
        if standing.returned != last.returned:
            self._on_return()
        if standing.restored:
            self._observer.on_event(AnswersRestored(count=standing.restored))
        if (standing.living, standing.on_duty) != (last.living, last.on_duty):
            self._observer.on_event(ReplicasCounted(living=standing.living, on_duty=standing.on_duty))
