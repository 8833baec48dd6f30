"""Telling several observers."""

from collections.abc import Sequence

from refreshd.domain.events import Event
from refreshd.ports.observer import Observer


class Observers:
    """One event to each, in order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def on_event(self, event: Event) -> None:
        for observer in self._observers:
            observer.on_event(event)
