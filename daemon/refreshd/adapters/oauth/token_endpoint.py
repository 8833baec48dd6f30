"""`TokenEndpoint` and `CodeEndpoint` over HTTP (RFC 6749 §4.1.3, §4.4, §6), each failure mapped to what it proves."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.failures import FAULTS, name_of, unsent
from refreshd.adapters.oauth.requests import form_request
from refreshd.adapters.oauth.scrubbing import scrubbed
from refreshd.adapters.oauth.transport import Exchange, Received, Unsent
from refreshd.domain.authorization import AuthorizationCode
from refreshd.domain.client import Client
from refreshd.domain.outcome import Deferred, Outcome, Phase, Refreshed, Uncertain
from refreshd.domain.secret import Secret
from refreshd.domain.token_response import Answer, read_answer
from refreshd.ports.clock import Clock
from refreshd.ports.token_endpoint import NotSent


class HttpTokenEndpoint:
    """`connections` must know every client that is asked for."""

    def __init__(self, connections: Connections, *, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    async def refresh(
        self, client: Client, refresh_token: Secret, scope: str, *, may_send: Callable[[], bool]
    ) -> Outcome:
        form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.reveal())]
        if scope:
            form.append(("scope", scope))
        return await self._ask(client, form, secrets=(refresh_token,), may_send=may_send)

    async def obtain(self, client: Client, *, may_send: Callable[[], bool]) -> Outcome:
        form = [("grant_type", "client_credentials")]
        if client.scope:
            form.append(("scope", client.scope))
        return await self._ask(client, form, secrets=(), may_send=may_send)

    async def redeem(self, client: Client, code: AuthorizationCode, *, may_send: Callable[[], bool]) -> Outcome:
        form = [
            ("grant_type", "authorization_code"),
            ("code", code.code.reveal()),
            ("redirect_uri", code.redirect_uri),
            ("code_verifier", code.verifier.reveal()),
        ]
        return await self._ask(client, form, secrets=(code.code, code.verifier), may_send=may_send)

    async def _ask(
        self,
        client: Client,
        form: Sequence[tuple[str, str]],
        *,
        secrets: Sequence[Secret],
        may_send: Callable[[], bool],
    ) -> Outcome:
        exchange = Exchange(may_send, deliver_within=client.request_timeout)
        received = Received()
        try:
            async with asyncio.timeout(client.request_timeout.total_seconds()):
                request = form_request(client, client.token_endpoint, form, exchange)
                await self._connections.fetch(client.name, request, received)
        except Unsent:
            raise NotSent from None
        except TimeoutError:
            outcome = self._interrupted("deadline", exchange, received, client)
        except FAULTS as exc:
            outcome = self._failed(exc, exchange, received, client)
        else:
            outcome = self._read(received, client, complete=not received.oversized)
        return without_secrets(outcome, secrets, client)

    def _failed(self, exc: Exception, exchange: Exchange, received: Received, client: Client) -> Outcome:
        if exchange.sent:
            return self._interrupted(name_of(exc), exchange, received, client)
        return replace(unsent(exc), phase=Phase.UNSENT)

    def _interrupted(self, code: str, exchange: Exchange, received: Received, client: Client) -> Outcome:
        """Before the first byte nothing happened; after it, only a refresh token that already arrived is certain."""
        if not exchange.sent:
            return Deferred(code=f"connect_{code}", phase=Phase.UNSENT)
        if received.status:
            outcome = self._read(received, client, complete=False)
            if isinstance(outcome, Refreshed):
                return outcome
        if wire := exchange.wire.answer():
            received.status, received.headers, received.body = wire
            outcome = self._read(received, client, complete=False)
            if isinstance(outcome, Refreshed):
                return outcome
        return Uncertain(code=code, phase=Phase.ANSWERED if received.status else Phase.SENT)

    def _read(self, received: Received, client: Client, *, complete: bool) -> Outcome:
        answer = Answer(status=received.status, headers=received.headers, body=received.decoded(), complete=complete)
        return read_answer(answer, now=self._clock.now(), rejection_codes=client.rejection_codes)


def without_secrets(outcome: Outcome, secrets: Sequence[Secret], client: Client) -> Outcome:
    """The outcome with its detail fit for a log; `secrets` are those that were sent, beside the client's own."""
    if isinstance(outcome, Refreshed) or not outcome.detail:
        return outcome
    own = (client.client_secret,) if client.client_secret else ()
    return replace(outcome, detail=scrubbed(outcome.detail, (*secrets, *own)))
