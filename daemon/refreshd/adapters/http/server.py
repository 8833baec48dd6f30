"""`/livez`, `/readyz`, `/metrics` on one address, loopback by default (contract: HTTP)."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from refreshd.domain.refusal import Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ListenRefused(Refusal):
    """The address cannot be listened on."""


class HttpServer:
    """Serves what three functions return. `address` is known once it is open (port 0 picks one)."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        live: Callable[[], bool],
        ready: Callable[[], bool],
        metrics: Callable[[], bytes],
    ) -> None:
        self._host = host
        self._port = port
        app = web.Application(client_max_size=1024)
        app.router.add_get("/livez", _probe(live))
        app.router.add_get("/readyz", _probe(ready))
        app.router.add_get("/metrics", _metrics(metrics))
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    @property
    def address(self) -> str:
        host, port = self._runner.addresses[0][:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as exc:
            await self._runner.cleanup()
            raise ListenRefused(
                f"cannot listen on {self._host}:{self._port}: {exc.strerror}; choose another http.listen"
            ) from exc
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()


def _probe(check: Callable[[], bool]) -> Handler:
    async def handle(_request: web.Request) -> web.StreamResponse:
        good = check()
        return web.Response(text="ok\n" if good else "not ok\n", status=200 if good else 503)

    return handle


def _metrics(exposition: Callable[[], bytes]) -> Handler:
    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    return handle
