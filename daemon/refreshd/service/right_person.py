"""Keeping a login that was just made, and making sure that it is the right person's.

The first login of an id is stored at once; its account is asked for afterwards. A later one must not replace the living login
before it is checked, and must not be lost if that fails: it is set aside in the store first (docs/decisions/0012-right-person.md).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from refreshd.domain.client import Client
from refreshd.domain.credential import ClientName
from refreshd.domain.grant import Grant
from refreshd.domain.login import (
    Account,
    Fate,
    Finish,
    LoggedIn,
    LoginResult,
    OtherAccount,
    Superseded,
    TokenOwned,
    Unknown,
    missing_scope,
)
from refreshd.ports.clock import Clock
from refreshd.ports.logins import Aside, Logins, Standing
from refreshd.ports.store import StoreUnavailable
from refreshd.ports.userinfo import Userinfo

T = TypeVar("T")

_FIRST_RETRY = 0.1  # seconds
_LONGEST_RETRY = 5.0
_ASKED = 2  # times, at most
_ASK_AGAIN = 1.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """How accounts are told apart. `comparable`: clients whose accounts are named by the same endpoint, this one included."""

    client: Client
    userinfo_endpoint: str | None
    comparable: frozenset[ClientName]
    revocable: bool
    required_scope: str


class RightPerson:
    """`on_store_failure` hears of every commit that failed; it is tried for ever, as nothing else holds the tokens (R6)."""

    def __init__(
        self,
        identification: Identification,
        *,
        logins: Logins,
        userinfo: Userinfo,
        clock: Clock,
        on_store_failure: Callable[[str], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._identification = identification
        self._logins = logins
        self._userinfo = userinfo
        self._clock = clock
        self._on_store_failure = on_store_failure
        self._pause = pause

    async def keep(self, grant: Grant, standing: Standing) -> LoginResult:
        """Commit first. Then, and only then, ask whose it is."""
        if self._expected(standing) is None:
            return await self._keep_first(grant, standing)
        family = await self._for_ever(lambda: self._logins.set_aside(grant, now=self._clock.now()))
        if isinstance(family, TokenOwned):
            return family
        aside = Aside(family=family, grant=grant)
        return await self._judge(aside, standing, await self._account(grant))

    async def resume(self, aside: Aside, standing: Standing) -> LoginResult | None:
        """Finish a login that was interrupted before it was checked; None when that cannot be done any more."""
        if aside.grant.client != self._identification.client.name or self._expected(standing) is None:
            return None
        found = await self._account(aside.grant)
        if isinstance(found, Unknown):
            return None
        result = await self._judge(aside, standing, found)
        if isinstance(result, Superseded):
            return None
        return replace(result, resumed=not result.elsewhere) if isinstance(result, LoggedIn) else result

    def _expected(self, standing: Standing) -> str | None:
        """The account that it must be; None when there is nothing to compare with."""
        if self._identification.userinfo_endpoint is None or standing.client not in self._identification.comparable:
            return None
        return standing.account

    async def _keep_first(self, grant: Grant, standing: Standing) -> LoginResult:
        family = await self._for_ever(lambda: self._logins.take_over(grant, now=self._clock.now()))
        if isinstance(family, TokenOwned):
            return family
        found = await self._account(grant)
        if isinstance(found, Account):
            try:
                await self._logins.bind(grant.id, family, found.id)
            except StoreUnavailable as exc:
                found = Unknown(reason=f"it could not be stored: {exc}")
        return self._logged_in(grant, standing, found)

    async def _judge(self, aside: Aside, standing: Standing, found: Account | Unknown) -> LoginResult:
        """Refuse another account's login, else finish it. While nobody can say whose it is, it counts as the expected one's."""
        expected = self._expected(standing)
        if isinstance(found, Account) and expected is not None and found.id != expected:
            fate = await self._refuse(aside, found)
            if fate is None:
                return Superseded(id=aside.grant.id)
            return OtherAccount(id=aside.grant.id, stored=expected, found=found.id, fate=fate)
        finish = await self._for_ever(lambda: self._logins.finish(aside, account=expected, now=self._clock.now()))
        if isinstance(finish, TokenOwned):
            return finish
        if finish is Finish.GONE:
            return Superseded(id=aside.grant.id)
        return replace(self._logged_in(aside.grant, standing, found), elsewhere=finish is Finish.STORED_BEFORE)

    async def _refuse(self, aside: Aside, found: Account) -> Fate | None:
        return await self._for_ever(
            lambda: self._logins.refuse(
                aside, account=found.id, revocable=self._identification.revocable, now=self._clock.now()
            )
        )

    async def _account(self, grant: Grant) -> Account | Unknown:
        if self._identification.userinfo_endpoint is None:
            return Unknown(reason="this provider has no userinfo_endpoint")
        if grant.access_token is None:
            return Unknown(reason="the answer held no usable access token to ask with")
        found: Account | Unknown = Unknown(reason="")
        for asked in range(_ASKED):
            if asked:
                await self._pause(_ASK_AGAIN)
            found = await self._userinfo.account(
                self._identification.client, self._identification.userinfo_endpoint, grant.access_token
            )
            if isinstance(found, Account):
                break
        return found

    def _logged_in(self, grant: Grant, standing: Standing, found: Account | Unknown) -> LoggedIn:
        return LoggedIn(
            id=grant.id,
            client=grant.client,
            replaced=standing.client is not None,
            account=found.id if isinstance(found, Account) else None,
            unknown=found.reason if isinstance(found, Unknown) else None,
            missing=missing_scope(grant.scope, self._identification.required_scope),
            paused=standing.paused,
        )

    async def _for_ever(self, write: Callable[[], Awaitable[T]]) -> T:
        wait = _FIRST_RETRY
        while True:
            try:
                return await write()
            except StoreUnavailable as exc:
                self._on_store_failure(str(exc))
            await self._pause(wait)
            wait = min(2 * wait, _LONGEST_RETRY)
