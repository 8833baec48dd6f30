"""`TokenEndpoint` without HTTP: what a connection, a deadline and an answer prove, as the adapter over sockets has it."""

import asyncio
from collections.abc import Callable, Mapping

from refreshd.domain.client import Client
from refreshd.domain.credential import ClientName
from refreshd.domain.outcome import Deferred, Outcome, Phase, Refreshed, Uncertain
from refreshd.domain.secret import Secret
from refreshd.domain.token_response import Answer, read_answer
from refreshd.ports.clock import Clock
from refreshd.ports.token_endpoint import NotSent
from tests.programme.simulated.life import Life
from tests.programme.simulated.network import Broken, Provider, Sending
from tests.programme.simulated.watch import Watch


class SimEndpoint:
    """Of one life: a dead process sends nothing and learns nothing, whatever goes on at the provider."""

    def __init__(self, providers: Mapping[ClientName, Provider], *, clock: Clock, life: Life, watch: Watch) -> None:
        self._providers = providers
        self._clock = clock
        self._life = life
        self._watch = watch

    async def refresh(
        self, client: Client, refresh_token: Secret, scope: str, *, may_send: Callable[[], bool]
    ) -> Outcome:
        del scope
        self._life.check()
        provider = self._providers[client.name]
        under_way: list[Sending] = []
        try:
            async with asyncio.timeout(client.request_timeout.total_seconds()):
                answer = await self._exchange(provider, refresh_token.reveal(), may_send, under_way)
        except TimeoutError:
            answer = "deadline"
        self._life.check()
        outcome = self._outcome(answer, client, sent=bool(under_way))
        for sending in under_way:
            self._watch.ended(sending, outcome, client.name)
        if not under_way:
            self._watch.troubled(client.name, "connect")
        return outcome

    async def obtain(self, client: Client, *, may_send: Callable[[], bool]) -> Outcome:
        del may_send
        raise AssertionError(f"{client.name}: no client of these worlds asks for itself")

    async def _exchange(
        self, provider: Provider, token: str, may_send: Callable[[], bool], under_way: list[Sending]
    ) -> Answer | str:
        connecting = provider.connect()
        if connecting is None:
            return "client_connector"
        await asyncio.sleep(connecting)
        self._life.check()
        if not may_send():
            raise NotSent
        sending = self._watch.sent(provider, token)
        under_way.append(sending)
        try:
            return await provider.receive(sending)
        except Broken:
            return "server_disconnected"

    def _outcome(self, answer: Answer | str, client: Client, *, sent: bool) -> Outcome:
        if isinstance(answer, str):
            return Uncertain(code=answer, phase=Phase.SENT) if sent else Deferred(code=answer, phase=Phase.UNSENT)
        outcome = read_answer(answer, now=self._clock.now(), rejection_codes=client.rejection_codes)
        if answer.complete or isinstance(outcome, Refreshed):
            return outcome
        return Uncertain(code="client_payload")
