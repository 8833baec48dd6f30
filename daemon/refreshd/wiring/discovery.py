"""Clients whose providers publish where they are spoken to: from the store's copy, or asked for where a command may."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from refreshd import __version__
from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.discovery import HttpDiscovery
from refreshd.adapters.sql import provider_metadata
from refreshd.config.settings import Settings
from refreshd.domain.client import Client
from refreshd.domain.credential import ClientName
from refreshd.domain.metadata import MetadataRefused, ProviderMetadata, read_metadata
from refreshd.domain.outcome import Deferred, Misconfigured
from refreshd.domain.refusal import Refusal
from refreshd.ports.discovery import Discovered
from refreshd.service.discoverer import EVERY, Published
from refreshd.service.refresher import Registration
from refreshd.wiring.registrations import registration, registrations
from refreshd.wiring.resolution import Endpoints, endpoints_of
from refreshd.wiring.store import OpenStore


class ProviderUnknown(Refusal):
    """What a client's provider publishes about itself cannot be had or used, and nothing is known from before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A client with its addresses. `read_at`: when its provider's metadata was read; None if that was not, or has no part."""

    registration: Registration
    endpoints: Endpoints
    read_at: datetime | None = None


async def resolve(settings: Settings, opened: OpenStore, name: str) -> Resolved:
    """One client with every address that is known: explicit keys, and over an `issuer` its metadata, read if a day old.

    For commands that may ask the provider. Raises `ProviderUnknown`, in words, when nothing usable is known.
    """
    known = resolve_offline(settings, opened, name)
    issuer = known.endpoints.issuer
    if issuer is None or (known.read_at is not None and opened.clock.now() - known.read_at < EVERY):
        return known
    found = await ask(settings, name, issuer)
    if isinstance(found, Discovered):
        try:
            fresh = resolved_by(settings, name, found.metadata, opened.clock.now())
        except MetadataRefused as exc:
            raise ProviderUnknown(f"clients.{name}.issuer: the metadata of {issuer} cannot be used: {exc}") from None
        with opened.engines.write.begin() as connection:
            provider_metadata.keep(connection, issuer, found.document, opened.clock.now())
        return fresh
    if known.endpoints.token:
        return known
    raise ProviderUnknown(f"clients.{name}.issuer: {in_words(found, issuer)}")


def resolve_offline(settings: Settings, opened: OpenStore | None, name: str) -> Resolved:
    """The same without asking anybody: `endpoints.token` is empty if nothing was ever read. `opened` None: no store yet."""
    issuer = settings.clients[name].provider_profile.issuer
    if issuer is not None and opened is not None:
        with opened.engines.read.begin() as connection:
            cached = provider_metadata.cached(connection, issuer)
        if cached is not None:
            try:
                metadata = read_metadata(cached.document.encode(), issuer=issuer)
                return resolved_by(settings, name, metadata, cached.fetched_at)
            except MetadataRefused:  # an older version, or another configuration, thought otherwise of it
                pass
    return resolved_by(settings, name, None)


def resolved_by(
    settings: Settings, name: str, metadata: ProviderMetadata | None, read_at: datetime | None = None
) -> Resolved:
    """The client by that metadata. Raises `MetadataRefused`."""
    endpoints = endpoints_of(settings.clients[name], metadata)
    return Resolved(registration=registration(settings, name, endpoints), endpoints=endpoints, read_at=read_at)


def resolve_all(settings: Settings, opened: OpenStore) -> dict[ClientName, Resolved]:
    """Every client, offline."""
    return {ClientName(name): resolve_offline(settings, opened, name) for name in settings.clients}


def published_by(settings: Settings, resolved: dict[ClientName, Resolved]) -> dict[ClientName, Published]:
    """Those whose metadata is to be kept fresh."""
    return {
        name: Published(
            issuer=one.endpoints.issuer,
            client=one.registration.client,
            read_at=one.read_at,
            resolve=_client_by(settings, name),
        )
        for name, one in resolved.items()
        if one.endpoints.issuer is not None
    }


async def ask(settings: Settings, name: str, issuer: str) -> Discovered | Deferred | Misconfigured:
    """The provider itself, over connections of this client's own."""
    client = registrations(settings)[ClientName(name)].client
    async with connections_of(client) as connections:
        return await HttpDiscovery(connections).fetch(client, issuer)


def connections_of(*clients: Client) -> AbstractAsyncContextManager[Connections]:
    """For one command's few requests."""
    return Connections(clients, limit=4, user_agent=f"refreshd/{__version__}")


def in_words(found: Deferred | Misconfigured, issuer: str) -> str:
    if isinstance(found, Deferred):
        return f"the metadata of {issuer} cannot be had now ({found.detail or found.code}); try again"
    return f"the metadata of {issuer} cannot be used ({found.detail or found.code})"


def _client_by(settings: Settings, name: str) -> Callable[[ProviderMetadata], Client]:
    return partial(_client_of, settings, name)


def _client_of(settings: Settings, name: str, metadata: ProviderMetadata) -> Client:
    return resolved_by(settings, name, metadata).registration.client
