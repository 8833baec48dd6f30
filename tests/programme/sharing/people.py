"""People who log in again when their login was lost, so that a long run does not run out of logins."""

from tests.components.companion import Companion
from tests.programme.daemons.installation import Installation

_EVERY = 5.0
_JOIN_SECONDS = 60.0


class People(Companion):
    """While entered. Each begins anew under another id: generation and token then count alike, as the judge reads them."""

    def __init__(self, installation: Installation) -> None:
        super().__init__(name="people", patience=_JOIN_SECONDS)
        self._installation = installation
        self._replaced: set[str] = set()

    def _accompany(self) -> None:
        while not self._over.wait(_EVERY):
            lost = self._installation.families.keys() - self._installation.living() - self._replaced
            if lost:
                self._replaced |= lost
                self._installation.log_in(sorted(f"{name}/again" for name in lost))
