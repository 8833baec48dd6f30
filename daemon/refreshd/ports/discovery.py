"""What a provider publishes about itself, asked for."""

from dataclasses import dataclass
from typing import Protocol

from refreshd.domain.client import Client
from refreshd.domain.metadata import ProviderMetadata
from refreshd.domain.outcome import Deferred, Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """The document as it came, for the cache, and what it says."""

    document: str
    metadata: ProviderMetadata


class Discovery(Protocol):
    async def fetch(self, client: Client, issuer: str) -> Discovered | Deferred | Misconfigured:
        """The metadata of `issuer`, over the connections of `client`; nothing secret is sent.

        `Deferred`: it could not be had now. `Misconfigured`: what is there must not be used, or nothing is.
        """
        ...
