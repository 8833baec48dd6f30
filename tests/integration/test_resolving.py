"""What a command knows of a client's addresses: from the configuration, the store's copy, and the provider itself."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.sql import provider_metadata
from refreshd.adapters.system_clock import SystemClock
from refreshd.config import Settings, load
from refreshd.domain.client import AuthMethod
from refreshd.domain.grant import GrantRefused
from refreshd.wiring.discovery import ProviderUnknown, resolve, resolve_offline
from refreshd.wiring.machines import NotEnrolled, enrol
from refreshd.wiring.store import OpenStore, open_store
from tests.components.oidc_server import OidcServer
from tests.components.ports import free_port
from tests.system.installation import Installation, write_private


@pytest.fixture
def installation(tmp_path: Path, oidc: OidcServer) -> Installation:
    return Installation(tmp_path, oidc, "redis://127.0.0.1:1/0")


def settings_with(installation: Installation, issuer: str, *lines: str) -> Settings:
    write_private(installation.directory / "acme.secret", "s3cret-of-acme")
    head = ["[clients.acme]", 'client_id = "conf"', 'client_secret_file = "acme.secret"', f'issuer = "{issuer}"']
    installation.extra = "\n".join([*head, *lines, ""])
    installation.write_config()
    return load(installation.config, environ={}).settings


@pytest.fixture
def store(installation: Installation, oidc: OidcServer) -> Iterator[OpenStore]:
    with open_store(settings_with(installation, oidc.url), create=True) as opened:
        yield opened


async def test_everything_that_a_login_needs_is_the_issuers(
    installation: Installation, store: OpenStore, oidc: OidcServer
) -> None:
    """Asked for once, and then known without asking."""
    settings = settings_with(installation, oidc.url)
    assert "" == resolve_offline(settings, store, "acme").endpoints.token
    found = await resolve(settings, store, "acme")
    endpoints = found.endpoints
    assert (oidc.url, oidc.token_endpoint, True) == (endpoints.issuer, endpoints.token, endpoints.iss_required)
    assert (oidc.authorization_endpoint, oidc.revocation_endpoint, oidc.userinfo_endpoint) == (
        endpoints.authorization,
        endpoints.revocation,
        endpoints.userinfo,
    )
    assert (oidc.token_endpoint, AuthMethod.BASIC) == (
        found.registration.client.token_endpoint,
        found.registration.client.auth_method,
    )
    assert endpoints == resolve_offline(settings, store, "acme").endpoints


async def test_explicit_keys_win_one_by_one(installation: Installation, store: OpenStore, oidc: OidcServer) -> None:
    """Also to say that there is none, and how to prove oneself."""
    lines = (
        'userinfo_endpoint = ""',
        'revocation_endpoint = "https://r.example"',
        'client_auth = "client_secret_post"',
    )
    endpoints = (await resolve(settings_with(installation, oidc.url, *lines), store, "acme")).endpoints
    assert (None, "https://r.example", AuthMethod.POST) == (
        endpoints.userinfo,
        endpoints.revocation,
        endpoints.auth_method,
    )
    assert oidc.token_endpoint == endpoints.token


async def test_a_copy_serves_while_the_provider_is_away_and_is_read_again_after_a_day(
    installation: Installation, store: OpenStore
) -> None:
    """An old copy is better than none; a fresh one is not asked about."""
    port = free_port()
    settings = settings_with(installation, f"http://127.0.0.1:{port}")
    with OidcServer(port=port):
        first = await resolve(settings, store, "acme")
    assert first.endpoints == (await resolve(settings, store, "acme")).endpoints
    long_ago = SystemClock().now() - timedelta(days=3)
    with store.engines.write.begin() as connection:
        kept = provider_metadata.cached(connection, f"http://127.0.0.1:{port}")
        assert kept is not None
        provider_metadata.keep(connection, f"http://127.0.0.1:{port}", kept.document, long_ago)
    away = await resolve(settings, store, "acme")
    assert (first.endpoints, long_ago) == (away.endpoints, away.read_at)
    with OidcServer(port=port):
        again = await resolve(settings, store, "acme")
    assert again.read_at is not None
    assert again.read_at > long_ago


async def test_nothing_known_and_nobody_there_is_said_in_words(installation: Installation, store: OpenStore) -> None:
    """With the key that names the provider."""
    settings = settings_with(installation, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ProviderUnknown, match=r"clients\.acme\.issuer: .* cannot be had now"):
        await resolve(settings, store, "acme")


async def test_a_lie_is_said_in_words_and_not_kept(
    installation: Installation, store: OpenStore, oidc: OidcServer
) -> None:
    """Nothing changed: the next command asks again."""
    settings = settings_with(installation, f"{oidc.url}/")
    with pytest.raises(ProviderUnknown, match="it says that its issuer is"):
        await resolve(settings, store, "acme")
    assert "" == resolve_offline(settings, store, "acme").endpoints.token


async def test_a_copy_that_this_version_would_refuse_counts_as_none(
    installation: Installation, store: OpenStore, oidc: OidcServer
) -> None:
    """It was written by another, or by hand."""
    settings = settings_with(installation, oidc.url)
    with store.engines.write.begin() as connection:
        provider_metadata.keep(connection, oidc.url, '{"issuer": "https://evil.example"}', SystemClock().now())
    assert "" == resolve_offline(settings, store, "acme").endpoints.token
    assert oidc.token_endpoint == (await resolve(settings, store, "acme")).endpoints.token


def test_a_client_without_people_is_enrolled_by_its_id(
    installation: Installation, store: OpenStore, oidc: OidcServer
) -> None:
    """What `login` may call: due at once, told when the id is another's, and nothing stored for a bad one."""
    settings, now = settings_with(installation, oidc.url, 'grant = "client_credentials"'), SystemClock().now()
    assert 1 == enrol(settings, store, "acme/service", "acme", now=now).added
    assert 1 == enrol(settings, store, "acme/service", "acme", now=now).unchanged
    installation.log_in("basic", 1, prefix="acme/person")
    with pytest.raises(NotEnrolled, match="exists"):
        enrol(settings, store, "acme/person/0000", "acme", now=now)
    for client, said in (("nobody", "no client 'nobody' is configured"), ("basic", "needs a person to log in")):
        with pytest.raises(NotEnrolled, match=said):
            enrol(settings, store, "acme/other", client, now=now)
    with pytest.raises(GrantRefused):
        enrol(settings, store, "/", "acme", now=now)
    assert 2 == store.inventory.count()


def test_commands_outside_a_loop_resolve_too(installation: Installation, store: OpenStore, oidc: OidcServer) -> None:
    """As the command line does it."""
    found = asyncio.run(resolve(settings_with(installation, oidc.url), store, "basic"))
    assert (None, oidc.token_endpoint) == (found.endpoints.issuer, found.endpoints.token)
