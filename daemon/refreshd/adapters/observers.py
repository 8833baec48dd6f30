"""Telling several observers, of whom none can harm the teller."""

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
            try:  # noqa: SIM105 - four times a refresh, each to several: a suppressing context would cost more than the telling
                observer.on_event(event)
            except Exception:  # noqa: BLE001, S110
                pass
