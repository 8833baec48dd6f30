"""Who is told."""

from typing import Protocol

from refreshd.domain.events import Event


class Observer(Protocol):
    def on_event(self, event: Event) -> None:
        """Take note. Never raises, never blocks."""
        ...
