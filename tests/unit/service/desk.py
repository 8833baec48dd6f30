"""One login with everything under control: a scripted person, provider and directory, and a real store that can fail."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import text

from refreshd.adapters.sql.logins import SqlLogins
from refreshd.adapters.sql.thread import StoreThread
from refreshd.domain.authorization import AuthorizationCode, AuthorizationRequest, LoginProfile
from refreshd.domain.callback import Callback, Declined, MixedUp, NotOurs
from refreshd.domain.client import AuthMethod, Client
from refreshd.domain.credential import CredentialId
from refreshd.domain.login import Account, LoginResult, NoAnswer, Unknown
from refreshd.domain.outcome import Deferred, Outcome
from refreshd.domain.secret import Secret
from refreshd.ports.store import StoreUnavailable
from refreshd.ports.token_endpoint import NotSent
from refreshd.service.login import Login, LoginPlan, LoginTold
from refreshd.service.right_person import Identification, RightPerson
from tests.contract.stores import ACME, OTHER, SqliteBed
from tests.fakes import FakeClock, success

CLIENT = Client(
    name=ACME,
    token_endpoint="https://login.example/token",
    auth_method=AuthMethod.NONE,
    client_id="id",
    client_secret=None,
    request_timeout=timedelta(seconds=90),
)
PLAN = LoginPlan(
    id=CredentialId("a"),
    client=CLIENT,
    profile=LoginProfile(authorization_endpoint="https://login.example/auth", client_id="id", scope="offline read"),
    access_lifetime=timedelta(hours=1),
    required_scope="offline",
    patience=timedelta(minutes=5),
)

IDENTIFICATION = Identification(
    client=CLIENT,
    userinfo_endpoint="https://login.example/me",
    comparable=frozenset({ACME, OTHER}),
    revocable=True,
    required_scope="offline",
)


class ScriptedPerson:
    """`Redirects` that answers at once; without an answer, never."""

    redirect_uri = "http://127.0.0.1:8765/callback"

    def __init__(self) -> None:
        self.answer: Callable[[AuthorizationRequest], Callback | NoAnswer] | None = _agrees
        self.before: list[NotOurs] = []
        self.asked: list[AuthorizationRequest] = []

    async def receive(
        self, request: AuthorizationRequest, *, on_refused: Callable[[NotOurs], None]
    ) -> AuthorizationCode | Declined | MixedUp | NoAnswer:
        self.asked.append(request)
        for refused in self.before:
            on_refused(refused)
        if self.answer is None:
            await asyncio.Event().wait()
            raise AssertionError("never set")
        answer = self.answer(request)
        assert not isinstance(answer, NotOurs)
        return answer

    async def conclude(self, *, stored: bool) -> None:
        del stored


class ScriptedCodes:
    """`CodeEndpoint` that answers from a script, then with a new pair of tokens."""

    def __init__(self) -> None:
        self.script: list[Outcome] = []
        self.redeemed: list[AuthorizationCode] = []
        self.while_asked: Callable[[], None] = lambda: None

    async def redeem(self, client: Client, code: AuthorizationCode, *, may_send: Callable[[], bool]) -> Outcome:
        assert client is CLIENT
        if not may_send():
            raise NotSent
        self.redeemed.append(code)
        self.while_asked()
        await asyncio.sleep(0)
        number = len(self.redeemed)
        return self.script.pop(0) if self.script else success(f"access-{number}", f"refresh-{number}")


class ScriptedUserinfo:
    """`Userinfo` that answers from a script, then with the same account."""

    def __init__(self) -> None:
        self.script: list[Account | Unknown] = []
        self.asked: list[Secret] = []
        self.account_id = "alice"
        self.while_asked: Callable[[], object] = lambda: None

    async def account(self, client: Client, endpoint: str, access_token: Secret) -> Account | Unknown:
        assert (CLIENT, "https://login.example/me") == (client, endpoint)
        self.asked.append(access_token)
        self.while_asked()
        return self.script.pop(0) if self.script else Account(id=self.account_id)


class FailingLogins(SqlLogins):
    """The real thing, which refuses the next so many calls of a name."""

    failures: dict[str, int]

    async def prepare(self, *args: Any, **kwargs: Any) -> Any:
        self._fail("prepare")
        return await super().prepare(*args, **kwargs)

    async def take_over(self, *args: Any, **kwargs: Any) -> Any:
        self._fail("take_over")
        return await super().take_over(*args, **kwargs)

    async def set_aside(self, *args: Any, **kwargs: Any) -> Any:
        self._fail("set_aside")
        return await super().set_aside(*args, **kwargs)

    async def finish(self, *args: Any, **kwargs: Any) -> Any:
        self._fail("finish")
        return await super().finish(*args, **kwargs)

    async def refuse(self, *args: Any, **kwargs: Any) -> Any:
        self._fail("refuse")
        return await super().refuse(*args, **kwargs)

    async def bind(self, *args: Any, **kwargs: Any) -> None:
        self._fail("bind")
        await super().bind(*args, **kwargs)

    def _fail(self, name: str) -> None:
        if self.failures.get(name, 0) > 0:
            self.failures[name] -= 1
            raise StoreUnavailable("database or disk is full")


@dataclass
class Desk:
    """`told`: what was said on the way. `identification`: how accounts are told apart.

    `while_paused`: what another process does in the next pause, once.
    """

    directory: Path
    identification: Identification = IDENTIFICATION
    plan: LoginPlan = PLAN
    told: list[object] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    while_paused: Callable[[], Awaitable[None]] | None = None

    def __enter__(self) -> Self:
        self.bed = SqliteBed(self.directory).__enter__()
        self.clock = FakeClock()
        self.person, self.codes, self.userinfo = ScriptedPerson(), ScriptedCodes(), ScriptedUserinfo()
        writer = StoreThread(self.bed.engines.write, "desk", in_line=True)
        self.logins = FailingLogins(writer, self.bed.importer, self.bed.codec)
        self.logins.failures = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bed.__exit__(kind, exc, trace)

    def login(self) -> Login:
        return Login(
            logins=self.logins,
            endpoint=self.codes,
            person=RightPerson(
                self.identification,
                logins=self.logins,
                userinfo=self.userinfo,
                clock=self.clock,
                on_store_failure=self.told.append,
                pause=self._pause,
            ),
            clock=self.clock,
            random=lambda count: bytes(range(count)),
            told=LoginTold(on_url=self._on_url, on_refused=self.told.append, on_repeat=self._on_repeat),
            pause=self._pause,
        )

    async def run(self, **changes: Any) -> LoginResult:
        return await self.login().run(replace(self.plan, **changes), self.person)

    def rows(self, query: str) -> list[Mapping[str, Any]]:
        with self.bed.engines.read.begin() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]

    def stored(self, name: str = "a") -> str:
        """The refresh token of the row."""
        sealed = self.bed.row(name)["refresh_token"]
        return self.bed.codec.open(sealed, "refresh_token", name).reveal()

    def _on_url(self, request: AuthorizationRequest) -> None:
        self.told.append(request.url)

    def _on_repeat(self, outcome: Deferred) -> None:
        self.told.append(outcome.code)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)
        meanwhile, self.while_paused = self.while_paused, None
        if meanwhile:
            await meanwhile()


def _agrees(request: AuthorizationRequest) -> AuthorizationCode:
    return AuthorizationCode(code=Secret("code"), verifier=request.verifier, redirect_uri=request.redirect_uri)


async def abandoned(desk: Desk) -> None:
    """A login whose process is killed while it asks whose account it is."""

    def kill() -> None:
        raise KeyboardInterrupt

    desk.userinfo.while_asked = kill
    with suppress(KeyboardInterrupt):
        await desk.run()
    desk.userinfo.while_asked = lambda: None
