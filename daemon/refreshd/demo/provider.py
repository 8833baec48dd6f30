"""A strict authorization server: each refresh token works once, and presenting one twice ends the login.

Stands for a provider in the demo. It speaks RFC 6749 §6 with client_secret_basic or, for a public client, `client_id` in the form.
"""

import base64
import binascii
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import unquote_plus

from aiohttp import web

SCOPE = "offline read"


@dataclass(slots=True)
class _Login:
    client_id: str
    refresh_token: str
    access_token: str = ""
    used: set[str] = field(default_factory=set)
    alive: bool = True


class StrictProvider:
    """Logins in memory, served on an ephemeral loopback port. `clients`: secret by client id, "" for a public client."""

    def __init__(self, clients: dict[str, str], *, lifetime: int) -> None:
        self._clients = clients
        self._lifetime = lifetime
        self._logins: dict[str, _Login] = {}
        self.refreshed = 0
        self.refused = 0
        app = web.Application(client_max_size=64 * 1024)
        app.router.add_post("/oauth2/token", self._token)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        self._site: web.TCPSite | None = None

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await self._site.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def log_in(self, client_id: str) -> dict[str, object]:
        """What a login callback would return (RFC 6749 §5.1)."""
        login = _Login(client_id=client_id, refresh_token=_new_token())
        return self._issue(login)

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        client_id = self._authenticate(request.headers.get("Authorization"), form)
        if client_id is None:
            return _error("invalid_client", 401)
        if form.get("grant_type") != "refresh_token":
            return _error("unsupported_grant_type", 400)
        presented = str(form.get("refresh_token", ""))
        login = self._logins.get(presented)
        if login is None or not login.alive or login.client_id != client_id:
            self.refused += 1
            return _error("invalid_grant", 400)
        if presented in login.used:  # reuse means theft: the whole login ends
            login.alive = False
            self.refused += 1
            return _error("invalid_grant", 400)
        login.used.add(presented)
        login.refresh_token = _new_token()
        self.refreshed += 1
        return web.json_response(self._issue(login), headers={"Cache-Control": "no-store"})

    def _issue(self, login: _Login) -> dict[str, object]:
        login.access_token = _new_token()  # the old access token dies with the rotation
        self._logins[login.refresh_token] = login
        return {
            "access_token": login.access_token,
            "token_type": "bearer",
            "expires_in": self._lifetime,
            "refresh_token": login.refresh_token,
            "scope": SCOPE,
            "issued_at": int(time.time()),
        }

    def _authenticate(self, header: str | None, form: Mapping[str, object]) -> str | None:
        if header is None:
            client_id = str(form.get("client_id", ""))
            return client_id if self._clients.get(client_id) == "" else None
        try:
            pair = base64.b64decode(header.removeprefix("Basic "), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        client_id, _, secret = (unquote_plus(half) for half in pair.partition(":"))
        expected = self._clients.get(client_id)
        return client_id if expected and secrets.compare_digest(secret, expected) else None


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _error(code: str, status: int) -> web.Response:
    return web.json_response({"error": code}, status=status)
