"""`Redirects` by a server on loopback (RFC 8252 §7.3) that answers one address, and only what is our login's answer."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from aiohttp import web

from refreshd.adapters.callback import pages
from refreshd.domain.authorization import AuthorizationCode, AuthorizationRequest
from refreshd.domain.callback import Callback, Declined, MixedUp, NotOurs, Strange, read_callback
from refreshd.domain.login import NoAnswer
from refreshd.domain.refusal import Refusal

_LONGEST_LINE = 64 * 1024
_EPHEMERAL_TRIES = 10
_GOODBYE_SECONDS = 2.0
_HOSTS = {"localhost": ("127.0.0.1", "::1")}  # a browser may take either, so both must be ours

Answer = AuthorizationCode | Declined | MixedUp


class CallbackRefused(Refusal):
    """The address cannot be listened on."""


class CallbackServer:
    """Listens at `redirect_uri`, an http address on loopback; without a port, the system chooses one.

    It listens from the start, so that a port that is taken is told before anybody is sent to a browser.
    """

    def __init__(self, redirect_uri: str) -> None:
        self._parts = urlsplit(redirect_uri)
        self._request: AuthorizationRequest | None = None
        self._on_refused: Callable[[NotOurs], None] = lambda _refused: None
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answered_with: str | None = None
        self._ending: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        quiet = logging.getLogger("refreshd.callback")
        quiet.disabled = True  # its tracebacks quote what was sent, codes included
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None, logger=quiet, max_line_size=_LONGEST_LINE),
            handle_signals=False,
            shutdown_timeout=_GOODBYE_SECONDS,
        )

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await self._listen()
        except OSError as exc:
            await self._runner.cleanup()
            raise CallbackRefused(
                f"cannot listen on {self._parts.netloc} for the login's answer: {exc.strerror or exc}; end what uses that "
                "port, choose another in redirect_uri (and at the provider), or use --no-browser"
            ) from exc
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.conclude(stored=False)
        await self._runner.cleanup()

    @property
    def redirect_uri(self) -> str:
        return self._parts.geturl()

    @property
    def _names(self) -> tuple[list[str], ...]:
        """How a browser names us; it leaves http's own port out."""
        netloc = self._parts.netloc
        return ([netloc], [netloc.removesuffix(":80")])

    async def receive(
        self, request: AuthorizationRequest, *, on_refused: Callable[[NotOurs], None]
    ) -> Answer | NoAnswer:
        self._request, self._on_refused = request, on_refused
        return await asyncio.shield(self._answer)

    async def conclude(self, *, stored: bool) -> None:
        if not self._ending.done():
            self._ending.set_result(stored)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if [host.lower() for host in request.headers.getall("Host", [])] not in self._names:
            return pages.wrong_host()  # DNS rebinding: a foreign name that leads here
        if path != (self._parts.path or "/"):
            return pages.not_here()
        if request.method != "GET":
            if request.method == "POST":
                self._on_refused(NotOurs(cause=Strange.POSTED))
            return pages.only_get()
        return await self._visited(query)

    async def _visited(self, query: str) -> web.Response:
        """The page waits until the tokens are stored. Browsers ask twice at times: the same answer waits beside the first."""
        if self._answered_with is None:
            found = self._read(query)
            if isinstance(found, NotOurs):
                self._on_refused(found)
                return pages.refused()
            self._answered_with = query
            self._answer.set_result(found)
        elif query != self._answered_with or self._ending.done():
            return pages.over()
        return pages.done() if await asyncio.shield(self._ending) else pages.failed()

    def _read(self, query: str) -> Callback:
        if self._request is None:
            raise RuntimeError("visited before anything was asked")
        return read_callback(query, self._request)

    async def _listen(self) -> None:
        """Bind every address that the host can mean, and learn the port."""
        host = self._parts.hostname or ""
        bound = _bound(_HOSTS.get(host, (host,)), self._parts.port or 0)
        port: int = bound[0].getsockname()[1]
        for one in bound:
            await web.SockSite(self._runner, one).start()
        self._parts = self._parts._replace(netloc=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _bound(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """One port on all of them; port 0: one that is free on all. Raises `OSError`."""
    fault = OSError()
    for _ in range(1 if port else _EPHEMERAL_TRIES):
        try:
            return _all(hosts, port)
        except OSError as exc:
            fault = exc
    raise fault


def _all(hosts: Sequence[str], port: int) -> list[socket.socket]:
    found: list[socket.socket] = []
    with ExitStack() as on_failure:
        for host in hosts:
            one = _one(host, found[0].getsockname()[1] if found else port, optional=bool(found))
            found += [on_failure.enter_context(one)] if one else []
        on_failure.pop_all()
    return found


def _one(host: str, port: int, *, optional: bool) -> socket.socket | None:
    """None: where the system has no IPv6, `::1` is nobody's."""
    try:
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError:
        if optional:
            return None
        raise
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
        one.listen()
    except OSError as exc:
        one.close()
        if optional and exc.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return one
