"""People who log in again when their login was lost, so that a long run does not run out of logins."""

import threading
from types import TracebackType
from typing import Self

from tests.programme.daemons.installation import Installation

_EVERY = 5.0
_JOIN_SECONDS = 60.0


class People:
    """While entered. Each begins anew under another id: generation and token then count alike, as the judge reads them."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._gone = threading.Event()
        self._replaced: set[str] = set()
        self._thread = threading.Thread(target=self._live, name="people")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gone.set()
        self._thread.join(_JOIN_SECONDS)

    def _live(self) -> None:
        while not self._gone.wait(_EVERY):
            lost = self._installation.families.keys() - self._installation.living() - self._replaced
            if lost:
                self._replaced |= lost
                self._installation.log_in(sorted(f"{name}/again" for name in lost))
