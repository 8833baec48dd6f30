"""The requests that matter: some of them spend what works once."""

from collections.abc import Callable
from typing import Protocol

from refreshd.domain.authorization import AuthorizationCode
from refreshd.domain.client import Client
from refreshd.domain.outcome import Outcome
from refreshd.domain.secret import Secret


class NotSent(Exception):  # noqa: N818 - reads as what it says
    """`may_send` said no right before the first byte: nothing has left."""


class TokenEndpoint(Protocol):
    async def refresh(
        self, client: Client, refresh_token: Secret, scope: str, *, may_send: Callable[[], bool]
    ) -> Outcome:
        """One refresh (RFC 6749 §6) within `client.request_timeout` in all.

        Whatever a provider or a network can do is a returned outcome. `may_send` is asked right before the first byte;
        raises `NotSent` when it says no.
        """
        ...

    async def obtain(self, client: Client, *, may_send: Callable[[], bool]) -> Outcome:
        """An access token for the client itself (RFC 6749 §4.4), of its configured scope; the rest as `refresh` has it."""


class CodeEndpoint(Protocol):
    """Apart from `TokenEndpoint`: who refreshes never redeems a code, and who logs in never refreshes."""

    async def redeem(self, client: Client, code: AuthorizationCode, *, may_send: Callable[[], bool]) -> Outcome:
        """Exchange a code (RFC 6749 §4.1.3, RFC 7636 §4.5). Deadline, outcomes and `may_send` as in `refresh`."""
        ...
