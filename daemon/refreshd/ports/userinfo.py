"""Whose access token it is."""

from typing import Protocol

from refreshd.domain.client import Client
from refreshd.domain.login import Account, Unknown
from refreshd.domain.secret import Secret


class Userinfo(Protocol):
    async def account(self, client: Client, endpoint: str, access_token: Secret) -> Account | Unknown:
        """Ask the provider once. Whatever it or a network can do is `Unknown`."""
        ...
