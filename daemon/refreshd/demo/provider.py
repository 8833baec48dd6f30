"""The ledger as an authorization server on loopback, for tests, for the demo and for other people's CI.

`POST /oauth2/token` (RFC 6749 §6), `GET /userinfo` (RFC 6750 §2.1), and if asked for the side door of `control`.
"""

import asyncio
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from copy import deepcopy
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web

from refreshd.demo.control import Control
from refreshd.demo.dialects import Reply, Verdict, refuse_request
from refreshd.demo.faults import Fault, Faults, Storm
from refreshd.demo.grants import Family, IssuedToken, Rules
from refreshd.demo.ledger import Ledger
from refreshd.demo.registrations import claimed_client
from refreshd.demo.wire import Exchange, play, respond

BACKLOG = 4096  # a full one delays requests in the senders' kernels, for as long as a lease and longer
_FORM = "application/x-www-form-urlencoded"
_MAX_BODY = 64 * 1024
_STOP_SECONDS = 1.0
_ASK_SECONDS = 30.0
T = TypeVar("T")


def new_ledger(clients: Mapping[str, str], rules: Rules | None = None, *, keep: int | None = None) -> Ledger:
    """A ledger with unguessable tokens. `clients`: secret by client id, "" for a public client."""
    return Ledger(clients, rules or Rules(), new_token=partial(secrets.token_urlsafe, 32), keep=keep)


class LedgerProvider:
    """Serves one ledger while entered. `port` 0 takes an ephemeral one; the same ledger can be served again after a stop.

    A stop ends every connection; requests that a fault had put off are never processed then.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        faults: Faults | None = None,
        port: int = 0,
        control: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ledger = ledger
        self.faults = faults or Faults()
        self.requests = 0
        self.clock = clock
        self._port = port
        self._tasks: set[asyncio.Task[object]] = set()
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_post("/oauth2/token", self._token)
        app.router.add_get("/userinfo", self._userinfo)
        if control:
            Control(ledger, self.faults, clock=clock).register(app.router)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=_STOP_SECONDS
        )

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=BACKLOG).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    @property
    def token_endpoint(self) -> str:
        return f"{self.url}/oauth2/token"

    @property
    def userinfo_endpoint(self) -> str:
        return f"{self.url}/userinfo"

    @property
    def control_url(self) -> str:
        return f"{self.url}/control"

    def log_in(self, client_id: str, *, scope: str = "offline read") -> dict[str, object]:
        """A login now; see `Ledger.log_in`."""
        return self.ledger.log_in(client_id, at=self.clock(), scope=scope)

    def storm(
        self, fault: Fault, *, count: int | None = None, seconds: float | None = None, client_id: str | None = None
    ) -> None:
        """A fault for the next `count` requests, or for `seconds` from now; see `Storm`."""
        until = None if seconds is None else self.clock() + seconds
        self.faults.storm(Storm(fault=fault, count=count, until=until, client_id=client_id))

    async def _token(self, request: web.Request) -> web.StreamResponse:
        pairs = parse_qsl((await request.read()).decode(errors="replace"), keep_blank_values=True)
        form = dict(pairs) if request.content_type == _FORM else {}
        authorization = request.headers.get("Authorization")
        self.requests += 1
        fault = self.faults.take(at=self.clock(), client_id=claimed_client(form, authorization))
        commit = partial(self._commit, form, authorization, doubled=len(dict(pairs)) < len(pairs))
        if fault is None:
            return respond(commit())
        gone = asyncio.Event()
        exchange = Exchange(request=request, commit=commit, later=self._later, gone=gone)
        try:  # shielded: a request on its way arrives although its client has gone
            return await asyncio.shield(self._own(play(fault, exchange), "fault"))
        finally:
            gone.set()

    def _commit(self, form: Mapping[str, str], authorization: str | None, *, doubled: bool) -> Reply:
        if doubled:  # RFC 6749 §3.2: no parameter more than once
            return refuse_request(self.ledger.rules.dialect, "invalid_request")
        return self.ledger.exchange(form, authorization, at=self.clock())

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            action()

        self._own(wait(), "later")

    def _own(self, work: Coroutine[object, object, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _userinfo(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        family = self.ledger.bearer(token, at=self.clock()) if scheme.lower() == "bearer" else None
        if family is None:
            return web.json_response(
                {"error": "invalid_token"}, status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
            )
        return web.json_response({"sub": family.id, "client_id": family.client_id, "scope": family.scope})


class ProviderThread:
    """The provider for programmes without an event loop, in a thread of its own.

    Every method may be called from any thread and returns copies.
    The ledger itself belongs to the thread while it runs: reach it through `ask`.
    """

    def __init__(self, ledger: Ledger, *, faults: Faults | None = None, port: int = 0, control: bool = False) -> None:
        self._provider = LedgerProvider(ledger, faults=faults, port=port, control=control)
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-provider", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop = self._started.result(_ASK_SECONDS)
        self.url = self._provider.url
        self.token_endpoint = self._provider.token_endpoint
        self.userinfo_endpoint = self._provider.userinfo_endpoint
        self.control_url = self._provider.control_url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_ASK_SECONDS)

    def ask(self, question: Callable[[LedgerProvider], T]) -> T:
        """Run `question` between two requests. Raises what it raises; do not let live objects out of it."""

        async def answer() -> T:
            return question(self._provider)

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(_ASK_SECONDS)

    def log_in(self, client_id: str, *, count: int = 1, scope: str = "offline read") -> list[dict[str, object]]:
        return self.ask(lambda provider: [provider.log_in(client_id, scope=scope) for _ in range(count)])

    def families(self) -> dict[str, Family]:
        return self.ask(lambda provider: deepcopy(provider.ledger.families))

    def family_of(self, refresh_token: str) -> Family | None:
        return self.ask(lambda provider: deepcopy(provider.ledger.family_of(refresh_token)))

    def reuses(self) -> list[IssuedToken]:
        return self.ask(lambda provider: deepcopy(provider.ledger.reuses()))

    def verdicts(self) -> Counter[Verdict]:
        return self.ask(lambda provider: Counter(provider.ledger.verdicts))

    def requests(self) -> int:
        """Token requests that arrived whole, whatever became of them."""
        return self.ask(lambda provider: provider.requests)

    def accepts(self, access_token: str) -> bool:
        return self.ask(lambda provider: provider.ledger.accepts(access_token, at=provider.clock()))

    def revoke(self, family_id: str) -> None:
        self.ask(lambda provider: provider.ledger.revoke(family_id, at=provider.clock()))

    def set_secret(self, client_id: str, secret: str) -> None:
        self.ask(lambda provider: provider.ledger.set_secret(client_id, secret))

    def set_rules(self, rules: Rules) -> None:
        self.ask(lambda provider: setattr(provider.ledger, "rules", rules))

    def script(self, *faults: Fault | None) -> None:
        self.ask(lambda provider: provider.faults.script(*faults))

    def storm(
        self, fault: Fault, *, count: int | None = None, seconds: float | None = None, client_id: str | None = None
    ) -> None:
        self.ask(lambda provider: provider.storm(fault, count=count, seconds=seconds, client_id=client_id))

    def mix(self, *rates: tuple[float, Fault]) -> None:
        self.ask(lambda provider: provider.faults.mix(rates))

    def clear_faults(self) -> None:
        self.ask(lambda provider: provider.faults.clear())

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        try:
            async with self._provider:
                self._started.set_result(asyncio.get_running_loop())
                await self._stop.wait()
        except OSError as exc:
            if self._started.done():
                raise
            self._started.set_exception(exc)  # the port is taken
