"""One login, from the person's browser to stored tokens. A code works once, so what holds for a refresh holds here:

the store has proven that it can keep the answer before the code is sent, nothing stands between answer and commit, and once
the first byte has left nobody can call it off (protocol R1 to R6). Whose login it is stands in `right_person`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from refreshd.domain.authorization import (
    STATE_BYTES,
    VERIFIER_BYTES,
    AuthorizationCode,
    AuthorizationRequest,
    LoginProfile,
    authorization_request,
)
from refreshd.domain.callback import Declined, MixedUp, NotOurs
from refreshd.domain.client import Client
from refreshd.domain.credential import CredentialId
from refreshd.domain.login import (
    CodeNotRedeemed,
    LoginResult,
    NoAnswer,
    NoRefreshToken,
    NotReady,
    Silence,
    granted,
)
from refreshd.domain.outcome import Deferred, Outcome, Refreshed
from refreshd.ports.clock import Clock
from refreshd.ports.logins import Logins, Standing
from refreshd.ports.redirects import Redirects
from refreshd.ports.store import StoreUnavailable
from refreshd.ports.token_endpoint import CodeEndpoint, NotSent
from refreshd.service.right_person import RightPerson

_TRIES = 3
_TRY_AGAIN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPlan:
    """Which login. `patience`: how long a person may take."""

    id: CredentialId
    client: Client
    profile: LoginProfile
    access_lifetime: timedelta
    required_scope: str
    patience: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTold:
    """Who hears of what happens on the way; none of them may raise."""

    on_url: Callable[[AuthorizationRequest], None]
    on_refused: Callable[[NotOurs], None]
    on_repeat: Callable[[Deferred], None]


class Login:
    """`random` returns that many random bytes; `pause` waits for seconds."""

    def __init__(
        self,
        *,
        logins: Logins,
        endpoint: CodeEndpoint,
        person: RightPerson,
        clock: Clock,
        random: Callable[[int], bytes],
        told: LoginTold,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._logins = logins
        self._endpoint = endpoint
        self._person = person
        self._clock = clock
        self._random = random
        self._told = told
        self._pause = pause
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End it where nothing can be lost: a wait for the person at once, an exchange under way when it is stored."""
        self._stopped.set()

    async def run(self, plan: LoginPlan, redirects: Redirects) -> LoginResult:
        standing = await self._prepare(plan)
        if isinstance(standing, NotReady):
            return standing
        if standing.aside and (finished := await self._person.resume(standing.aside, standing)):
            return finished
        request = authorization_request(
            plan.profile,
            redirect_uri=redirects.redirect_uri,
            state=self._random(STATE_BYTES),
            verifier=self._random(VERIFIER_BYTES),
        )
        self._told.on_url(request)
        answer = await self._answer(plan, redirects, request)
        return await self._finish(plan, answer) if isinstance(answer, AuthorizationCode) else answer

    async def _prepare(self, plan: LoginPlan) -> Standing | NotReady:
        try:
            return await self._logins.prepare(plan.id, now=self._clock.now())
        except StoreUnavailable as exc:
            return NotReady(fault=str(exc))

    async def _answer(
        self, plan: LoginPlan, redirects: Redirects, request: AuthorizationRequest
    ) -> AuthorizationCode | Declined | MixedUp | NoAnswer:
        """Whatever comes first: the answer, the end of our patience, or the word to stop."""
        waiting = asyncio.create_task(redirects.receive(request, on_refused=self._told.on_refused), name="redirect")
        stopping = asyncio.create_task(self._stopped.wait(), name="stop")
        try:
            await asyncio.wait(
                {waiting, stopping}, timeout=plan.patience.total_seconds(), return_when=asyncio.FIRST_COMPLETED
            )
            if self._stopped.is_set():
                return NoAnswer(cause=Silence.INTERRUPTED)
            return waiting.result() if waiting.done() else NoAnswer(cause=Silence.TIMED_OUT)
        finally:
            for task in (waiting, stopping):
                task.cancel()

    async def _finish(self, plan: LoginPlan, code: AuthorizationCode) -> LoginResult:
        standing = await self._prepare(plan)  # again: minutes may have passed, and the code is not spent yet
        if isinstance(standing, NotReady):
            return standing
        sent_at = self._clock.now()
        outcome = await self._redeem(plan, code)
        if outcome is None:
            return NoAnswer(cause=Silence.INTERRUPTED)
        if not isinstance(outcome, Refreshed):
            return CodeNotRedeemed(outcome=outcome)
        grant = granted(
            outcome,
            id=plan.id,
            client=plan.client.name,
            asked=plan.profile.scope,
            lifetime=plan.access_lifetime,
            sent_at=sent_at,
        )
        if grant is None:
            return NoRefreshToken(required=plan.required_scope, granted=outcome.scope)
        return await self._person.keep(grant, standing)

    async def _redeem(self, plan: LoginPlan, code: AuthorizationCode) -> Outcome | None:
        """Only what surely was not processed is sent again. None: stopped before anything was sent."""
        outcome: Outcome | None = None
        for tries_left in reversed(range(_TRIES)):
            try:
                outcome = await self._endpoint.redeem(plan.client, code, may_send=lambda: not self._stopped.is_set())
            except NotSent:
                return None
            if not isinstance(outcome, Deferred) or not tries_left:
                break
            self._told.on_repeat(outcome)
            await self._pause(_TRY_AGAIN)
        return outcome
