"""How the browser's answer comes back: to a server on loopback, or through a person's hands."""

from collections.abc import Callable
from typing import Protocol

from refreshd.domain.authorization import AuthorizationCode, AuthorizationRequest
from refreshd.domain.callback import Declined, MixedUp, NotOurs
from refreshd.domain.login import NoAnswer


class Redirects(Protocol):
    @property
    def redirect_uri(self) -> str:
        """The address that the provider is told to send the browser to."""
        ...

    async def receive(
        self, request: AuthorizationRequest, *, on_refused: Callable[[NotOurs], None]
    ) -> AuthorizationCode | Declined | MixedUp | NoAnswer:
        """Wait for the answer to `request`; what is none is refused, told, and changes nothing. Has no deadline of its own."""
        ...

    async def conclude(self, *, stored: bool) -> None:
        """Tell the waiting browser, if there is one, how it ended."""
        ...
