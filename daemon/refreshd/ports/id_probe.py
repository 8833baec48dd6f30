"""How a provider's authorization endpoint reacts to a client id; the only place where many say whether they know it."""

from typing import Protocol

from refreshd.domain.client import Client
from refreshd.domain.live_check import Reaction


class IdProbe(Protocol):
    async def react(self, client: Client, endpoint: str, client_id: str) -> Reaction | None:
        """Ask as a browser would at the beginning of a login, over the connections of `client`. None: no answer."""
        ...
