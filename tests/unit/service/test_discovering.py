"""A client whose provider publishes its metadata: usable from the store's copy, suspended without any, never in others' way."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.sql import provider_metadata
from refreshd.domain.client import Client
from refreshd.domain.events import ClientSuspended, MetadataKept
from refreshd.domain.metadata import MetadataRefused, ProviderMetadata
from refreshd.domain.outcome import Deferred, Misconfigured
from refreshd.ports.discovery import Discovered
from refreshd.service.discoverer import EVERY, Discoverer, Published
from tests.contract.stores import ACME, grant
from tests.fakes import START
from tests.unit.service.house import House

ISSUER = "https://login.example"
DOWN = Deferred(code="client_connector", detail="refused")
LIES = Misconfigured(code="metadata_refused", detail="it says that its issuer is another")


def published_at(endpoint: str) -> Discovered:
    return Discovered(
        document=f'{{"{endpoint}": 1}}', metadata=ProviderMetadata(issuer=ISSUER, token_endpoint=endpoint)
    )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as built:
        built.bed.add(grant())
        yield built


def start(house: House, *, known: str = "", read_at_age: timedelta | None = None) -> Discoverer:
    """A daemon whose client has an issuer, with or without a copy of what it published."""

    def resolve(metadata: ProviderMetadata) -> Client:
        if metadata.token_endpoint is None:
            raise MetadataRefused("it takes no client secret")
        return house.client(metadata.token_endpoint)

    read_at = None if read_at_age is None else START - read_at_age
    house.published = {ACME: Published(issuer=ISSUER, client=house.client(known), read_at=read_at, resolve=resolve)}
    house.restart()
    assert house.discoverer is not None
    return house.discoverer


async def test_nothing_is_sent_before_it_is_known_where_to(house: House) -> None:
    """Not a claim, not a request: the row stays due."""
    start(house)
    assert ["redis.republishing"] == await house.work()
    assert ([], None) == (house.presented(), house.bed.row("a")["attempt_id"])


async def test_the_first_document_sets_the_client_to_work_and_is_kept(house: House) -> None:
    """From then on a start needs no provider."""
    discoverer = start(house)
    house.discovery.script[ACME] = [published_at("https://login.example/t")]
    await discoverer.round()
    assert "credential.refreshed" in await house.work()
    with house.bed.engines.read.begin() as connection:
        kept = provider_metadata.cached(connection, ISSUER)
    assert kept is not None
    assert (published_at("https://login.example/t").document, START) == (kept.document, kept.fetched_at)


@pytest.mark.parametrize(("failure", "cause"), [(DOWN, "metadata_unreachable"), (LIES, "metadata_refused")])
async def test_a_client_of_an_unknown_provider_is_suspended_and_tried_again(
    house: House, failure: Deferred | Misconfigured, cause: str
) -> None:
    """With back-off, told once, and told when it is over."""
    discoverer = start(house)
    house.discovery.script[ACME] = [failure, failure, published_at("https://login.example/t")]
    await discoverer.round()
    await discoverer.round()
    assert [ACME] == house.discovery.asked  # nothing is due yet
    house.clock.advance(timedelta(seconds=5))
    await discoverer.round()
    [told] = [event for event in house.observer.events if isinstance(event, ClientSuspended)]
    assert (cause, failure.detail) == (told.cause, told.detail)
    house.clock.advance(timedelta(seconds=10))
    await discoverer.round()
    assert "client.resumed" in house.observer.names()
    assert "credential.refreshed" in await house.work()


async def test_what_was_read_before_is_used_while_the_provider_is_away(house: House) -> None:
    """A warning, and the client works on."""
    discoverer = start(house, known="https://login.example/t", read_at_age=EVERY)
    house.discovery.script[ACME] = [LIES]
    await discoverer.round()
    [kept] = [event for event in house.observer.events if isinstance(event, MetadataKept)]
    assert "metadata_refused" == kept.code
    assert "credential.refreshed" in await house.work()
    assert "client.suspended" not in house.observer.names()


async def test_a_fresh_copy_is_not_asked_for_again_before_its_day_is_over(house: House) -> None:
    """One look a day, however often the daemon starts."""
    discoverer = start(house, known="https://login.example/t", read_at_age=EVERY - timedelta(minutes=1))
    house.discovery.script[ACME] = [published_at("https://login.example/new")]
    await discoverer.round()
    assert [] == house.discovery.asked
    house.clock.advance(timedelta(minutes=1))
    await discoverer.round()
    await discoverer.round()
    assert [ACME] == house.discovery.asked


async def test_a_copy_from_the_future_is_read_again_within_a_day(house: House) -> None:
    """The clock was wrong when it was written."""
    discoverer = start(house, known="https://login.example/t", read_at_age=timedelta(days=-400))
    house.discovery.script[ACME] = [published_at("https://login.example/t")]
    house.clock.advance(EVERY)
    await discoverer.round()
    assert [ACME] == house.discovery.asked


async def test_a_provider_that_moves_is_followed(house: House) -> None:
    """The next request goes to the new address, told in the log."""
    discoverer = start(house, known="https://login.example/old", read_at_age=EVERY)
    house.discovery.script[ACME] = [published_at("https://login.example/new")]
    await discoverer.round()
    await house.work()
    assert "provider.metadata_read" in house.observer.names()
    assert "https://login.example/new" == house.endpoint.clients[-1].token_endpoint


async def test_a_document_that_this_client_cannot_use_counts_as_none(house: House) -> None:
    """Such as one whose provider takes no secret."""
    discoverer = start(house)
    odd = replace(published_at("x"), metadata=ProviderMetadata(issuer=ISSUER))
    house.discovery.script[ACME] = [odd]
    await discoverer.round()
    [told] = [event for event in house.observer.events if isinstance(event, ClientSuspended)]
    assert ("metadata_refused", True) == (told.cause, "takes no client secret" in told.detail)
