"""A thread that accompanies a `with` block: it watches, polls or acts until the block ends."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Companion(ABC):
    """A context manager. After the block its thread has `patience` seconds to return."""

    def __init__(self, *, name: str, patience: float = 10.0) -> None:
        self._over = threading.Event()
        self._patience = patience
        self._thread = threading.Thread(target=self._accompany, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(self._patience)

    @abstractmethod
    def _accompany(self) -> None:
        """The thread's whole life. It looks at `_over` often, and returns when that is set."""
