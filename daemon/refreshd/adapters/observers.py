"""Telling several observers, of whom none can harm the teller."""

import contextlib
from collections.abc import Sequence

from refreshd.domain.events import Event
from refreshd.ports.observer import Observer


class Observers:
    """One event to each, in order. A full disk under the log must not cost the answer that was about to be stored."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        """One that is made of parts that tell these."""
        self._observers.append(observer)

    def on_event(self, event: Event) -> None:
        for observer in self._observers:
            with contextlib.suppress(Exception):
                observer.on_event(event)
