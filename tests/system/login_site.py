"""An authorization server, and an installation whose clients can log in there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.components.oidc_server import OidcServer
from tests.components.ports import free_port
from tests.system.installation import Installation

SCOPE = "openid offline_access read"


@pytest.fixture(scope="module")
def redirect_uri() -> str:
    """What `basic` is registered with, to the letter; `pkce`, a native client, may use any port."""
    return f"http://127.0.0.1:{free_port()}/callback"


@pytest.fixture(scope="module")
def oidc_process(redirect_uri: str) -> Iterator[OidcServer]:
    with OidcServer(redirect_uri=redirect_uri) as server:
        yield server
        assert server.errors() == ""


@pytest.fixture
def installation(install: Callable[..., Installation], oidc: OidcServer, redirect_uri: str) -> Installation:
    return install(scope=SCOPE, client_keys=login_keys(oidc, redirect_uri))


def login_keys(oidc: OidcServer, redirect_uri: str, *, issuer: str | None = None) -> Mapping[str, Sequence[str]]:
    shared = [
        f'authorization_endpoint = "{oidc.authorization_endpoint}"',
        f'userinfo_endpoint = "{oidc.userinfo_endpoint}"',
        f'revocation_endpoint = "{oidc.revocation_endpoint}"',
        f'issuer = "{issuer or oidc.url}"',
        'authorization_parameters = ["prompt=consent"]',
    ]
    return {"basic": [*shared, f'redirect_uri = "{redirect_uri}"'], "pkce": shared}


@dataclass(slots=True)
class Initialised(Installation):
    """What `refreshd init` makes of its arguments; where the authorization server stands for Frame.io says `environ`."""

    init: tuple[str, ...] = ()

    def write_config(self) -> None:
        self.command("init", *self.init, stdin=self.secret)


def fresh(directory: Path, oidc: OidcServer, redis_url: str, redirect_uri: str, *, client_id: str) -> Initialised:
    """A first configuration, from nothing, for the confidential client or the public one."""
    keys = {
        "SCOPE": "openid read",
        "REDIRECT_URI": redirect_uri if client_id == "conf" else "http://127.0.0.1/callback",
        "AUTHORIZATION_ENDPOINT": oidc.authorization_endpoint,
        "TOKEN_ENDPOINT": oidc.token_endpoint,
        "USERINFO_ENDPOINT": oidc.userinfo_endpoint,
        "REVOCATION_ENDPOINT": oidc.revocation_endpoint,
    }
    return Initialised(
        directory,
        oidc,
        redis_url,
        init=("--client-id", client_id, *(["--pkce"] if client_id == "pub" else [])),
        environ={
            "HOME": str(directory),
            "STATE_DIRECTORY": str(directory),
            "REFRESHD_REDIS__URL": redis_url,
            "REFRESHD_HTTP__LISTEN": "127.0.0.1:0",
            **{f"REFRESHD_CLIENTS__FRAMEIO__{key}": value for key, value in keys.items()},
        },
    )


__all__ = ("SCOPE", "fresh", "installation", "login_keys", "oidc_process", "redirect_uri")
