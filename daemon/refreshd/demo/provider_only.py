"""`refreshd demo --provider-only`: the ledger provider with its side door, for other people's tests of their own clients."""

import asyncio
import json
import secrets
import signal

from refreshd.demo.grants import Rules
from refreshd.demo.provider import LedgerProvider, new_ledger
from refreshd.domain.refusal import Refusal

BASIC, PKCE = "demo_basic", "demo_pkce"
SCOPE = "offline read"


class ProviderFailed(Refusal):
    """The provider did not start."""


def run_provider_only(*, port: int, lifetime: float) -> int:
    """Serve until SIGTERM or SIGINT, then return 0. `port` 0: ephemeral. `lifetime` of access tokens, in seconds."""
    return asyncio.run(_serve(port, Rules(access_lifetime=lifetime)))


async def _serve(port: int, rules: Rules) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clients = {BASIC: secrets.token_urlsafe(24), PKCE: ""}
    try:
        async with LedgerProvider(new_ledger(clients, rules), port=port, control=True) as provider:
            print(json.dumps(_described(provider, clients, rules)), flush=True)  # noqa: T201 - what the caller parses
            await stop.wait()
    except OSError as exc:
        raise ProviderFailed(f"the provider cannot listen on port {port}: {exc.strerror or exc}") from exc
    return 0


def _described(provider: LedgerProvider, clients: dict[str, str], rules: Rules) -> dict[str, object]:
    """Lifetimes in seconds."""
    shown = {
        name: {
            "client_id": name,
            "auth_method": "client_secret_basic" if secret else "none",
            **({"client_secret": secret} if secret else {}),
            "scope": SCOPE,
            "access_token_lifetime": rules.access_lifetime,
            "refresh_token_lifetime": rules.refresh_lifetime,
        }
        for name, secret in clients.items()
    }
    return {
        "token_endpoint": provider.token_endpoint,
        "userinfo_endpoint": provider.userinfo_endpoint,
        "control": provider.control_url,
        "clients": shown,
    }
