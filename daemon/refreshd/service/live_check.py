"""One client asked about for real, by requests that can spend nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from refreshd.domain.client import Client, GrantType
from refreshd.domain.live_check import Evidence, Finding, Verdict, judge, needs_control, needs_id, tells_apart
from refreshd.domain.outcome import Outcome
from refreshd.domain.secret import Secret
from refreshd.ports.id_probe import IdProbe
from refreshd.ports.token_endpoint import TokenEndpoint

REQUEST_TIMEOUT = timedelta(seconds=10)
IN_ALL = timedelta(seconds=30)
MADE_UP = "refreshd-check-made-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A client and where its logins begin. `discovered`: its token endpoint is known from its issuer."""

    client: Client
    authorization_endpoint: str | None
    discovered: bool = False


class LiveCheck:
    """`make_up`: a new value that nobody has ever issued, to be recognised in a provider's log by its beginning."""

    def __init__(self, *, endpoint: TokenEndpoint, ids: IdProbe, make_up: Callable[[], str]) -> None:
        self._endpoint = endpoint
        self._ids = ids
        self._make_up = make_up

    async def examine(self, subject: Subject) -> Finding:
        """Within half a minute, whatever the provider does."""
        client = subject.client
        timeout = min(client.request_timeout, REQUEST_TIMEOUT)
        try:
            async with asyncio.timeout(IN_ALL.total_seconds()):
                return await self._examine(replace(subject, client=replace(client, request_timeout=timeout)))
        except TimeoutError:
            text = f"the provider did not answer within {IN_ALL.total_seconds():g} s"
            return Finding(client=client.name, verdict=Verdict.UNREACHABLE, text=text)

    async def _examine(self, subject: Subject) -> Finding:
        client = subject.client
        outcome = await self._ask(client)
        evidence = Evidence(outcome=outcome, discovered=subject.discovered)
        if needs_control(outcome) and client.grant is GrantType.REFRESH_TOKEN:
            evidence = replace(evidence, control=await self._ask(self._certainly_wrong(client)))
        if needs_id(outcome) and subject.authorization_endpoint:
            evidence = replace(evidence, id_known=await self._is_known(client, subject.authorization_endpoint))
        return judge(client, evidence)

    async def _ask(self, client: Client) -> Outcome:
        if client.grant is GrantType.CLIENT_CREDENTIALS:
            return await self._endpoint.obtain(client, may_send=lambda: True)
        return await self._endpoint.refresh(client, Secret(self._make_up()), "", may_send=lambda: True)

    def _certainly_wrong(self, client: Client) -> Client:
        """The same client with another secret; one that has none, with another id."""
        if client.client_secret is None:
            return replace(client, client_id=self._make_up())
        return replace(client, client_secret=Secret(self._make_up()))

    async def _is_known(self, client: Client, endpoint: str) -> bool | None:
        ids = (client.client_id, self._make_up(), self._make_up())
        ours, made_up, other = [await self._ids.react(client, endpoint, one) for one in ids]
        if ours is None or made_up is None or other is None:
            return None
        return tells_apart(ours, made_up, other)
