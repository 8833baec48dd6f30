"""Working off the refresh tokens that are to be revoked: each client on its own, at its own pace, none waits for another."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from refreshd.domain.client import Client, Limits
from refreshd.domain.credential import ClientName
from refreshd.domain.events import (
    CredentialRevoked,
    RevocationDeferred,
    RevocationFailed,
    RevocationsCounted,
)
from refreshd.domain.revocation import AskAgain, GiveUp, NotRevocable, NotRevokedYet, Revoked, next_step
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.revocation import Revocation, RevocationEndpoint, Revocations
from refreshd.service.rounds import Rounds

BATCH = 50
KEEP_GIVEN_UP = timedelta(hours=48)
FORGET_EVERY = timedelta(hours=1)


class Revoker(Rounds):
    """`tick` is called every second; what a command has asked for is seen then. `limits`: at most so many a tick.

    It may be cancelled anywhere: a request whose answer is lost is made again, which revokes what is revoked already.
    """

    def __init__(
        self,
        clients: Callable[[], Mapping[ClientName, Client]],
        limits: Mapping[ClientName, Limits],
        *,
        revocations: Revocations,
        endpoint: RevocationEndpoint,
        observer: Observer,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        super().__init__(doing="revoking", observer=observer)
        self._clients = clients
        self._limits = limits
        self._revocations = revocations
        self._endpoint = endpoint
        self._clock = clock
        self._draw = draw
        self._pending: Mapping[ClientName, int] | None = None
        self._forgot_at: float | None = None

    async def round(self) -> None:
        """Raises `StoreUnavailable`; what was not recorded is asked again."""
        pending = await self._revocations.pending()
        if pending:
            await self._work_off_all([client for name, client in self._clients().items() if name in pending])
            await self._drop_orphans()
            pending = await self._revocations.pending()
        if pending != self._pending:
            self._pending = pending
            self._observer.on_event(RevocationsCounted(pending=pending))
        await self._forget()

    async def _work_off_all(self, clients: Sequence[Client]) -> None:
        """Each to its end, also when the store fails for one of them."""
        ends = await asyncio.gather(*map(self._work_off, clients), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end

    async def _work_off(self, client: Client) -> None:
        """One after the other; the first that meets an outage leaves the rest for later ticks."""
        limit = max(1, min(BATCH, int(self._limits[client.name].max_rate)))
        for one in await self._revocations.due(client.name, now=self._clock.now(), limit=limit):
            if not await self._revoke(client, one):
                return

    async def _revoke(self, client: Client, one: Revocation) -> bool:
        """False when the provider cannot be asked for now."""
        if one.token is None:
            outcome: Revoked | NotRevokedYet | NotRevocable = NotRevocable(code="undecryptable")
        else:
            outcome = await self._endpoint.revoke(client, one.token)
        now = self._clock.now()
        step = next_step(outcome, asked_at=one.asked_at, failures=one.failures, now=now, draw=self._draw())
        match step:
            case Revoked():
                await self._revocations.done(one)
                self._observer.on_event(CredentialRevoked(id=one.credential_id, client=one.client))
            case AskAgain():
                await self._revocations.put_off(one, code=step.code, until=step.at)
                self._observer.on_event(
                    RevocationDeferred(
                        id=one.credential_id,
                        client=one.client,
                        code=step.code,
                        failures=one.failures + 1,
                        next_attempt_at=step.at,
                        detail=step.detail,
                    )
                )
                return False
            case GiveUp():
                await self._give_up(one, step)
        return True

    async def _give_up(self, one: Revocation, step: GiveUp) -> None:
        await self._revocations.give_up(one, code=step.code, now=self._clock.now())
        self._observer.on_event(
            RevocationFailed(id=one.credential_id, client=one.client, code=step.code, detail=step.detail)
        )

    async def _drop_orphans(self) -> None:
        """Of a client that left the configuration: it may come back within the day."""
        now = self._clock.now()
        names: Sequence[ClientName] = tuple(self._clients())
        for one in await self._revocations.orphans(names, now=now, limit=BATCH):
            outcome = NotRevokedYet(code="client_not_configured")
            step = next_step(outcome, asked_at=one.asked_at, failures=one.failures, now=now, draw=self._draw())
            if isinstance(step, GiveUp):
                await self._give_up(one, step)
            elif isinstance(step, AskAgain):
                await self._revocations.put_off(one, code=step.code, until=step.at)

    async def _forget(self) -> None:
        now = self._clock.monotonic()
        if self._forgot_at is None or now - self._forgot_at >= FORGET_EVERY.total_seconds():
            self._forgot_at = now
            await self._revocations.forget_given_up(before=self._clock.now() - KEEP_GIVEN_UP)
