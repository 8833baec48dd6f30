"""One refresh from the claimed attempt to the stored answer. Between answer and commit stands nothing but `settle`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from refreshd.domain.client import Client, GrantType
from refreshd.domain.credential import ClientName, laned, moved
from refreshd.domain.events import (
    AnswerDropped,
    AttemptReleased,
    CredentialRefreshed,
    EarlierLoginDropped,
    LateTokenToRevoke,
    MarginShrunk,
    RequestFinished,
    RescuedTokenAdopted,
    SlidingProven,
    StoreFailed,
    TokenRescued,
)
from refreshd.domain.machine_grant import without_login
from refreshd.domain.outcome import Outcome, Refreshed, Rejected, label
from refreshd.domain.policy import LifetimeFrom, RefreshPolicy, margin
from refreshd.domain.rescue import as_answer
from refreshd.domain.settle import settle
from refreshd.domain.steps import Reached, Step, unobserved
from refreshd.domain.transition import Transition
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.store import Attempt, Committed, Conflict, Store, StoreUnavailable
from refreshd.ports.token_endpoint import NotSent, TokenEndpoint
from refreshd.service.answers import Answers
from refreshd.service.grant_judge import GrantJudge
from refreshd.service.health import Health
from refreshd.service.throttle import Throttle
from refreshd.service.timekeeper import Moment, Timekeeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A client and how its credentials are treated."""

    client: Client
    policy: RefreshPolicy


class Refresher:
    """Presents refresh tokens, one attempt at a time for each task of the pool."""

    def __init__(
        self,
        registrations: Mapping[ClientName, Registration],
        *,
        store: Store,
        endpoint: TokenEndpoint,
        throttle: Throttle,
        health: Health,
        observer: Observer,
        clock: Clock,
        judge: GrantJudge,
        answers: Answers,
        draw: Callable[[], float],
        on_commit: Callable[[], None],
        timekeeper: Timekeeper,
        reached: Reached = unobserved,
    ) -> None:
        self._registrations = dict(registrations)
        self._store = store
        self._endpoint = endpoint
        self._throttle = throttle
        self._health = health
        self._observer = observer
        self._clock = clock
        self._judge = judge
        self._answers = answers
        self._draw = draw
        self._on_commit = on_commit
        self._timekeeper = timekeeper
        self._reached = reached
        self._short_lived: set[ClientName] = set()

    @property
    def clients(self) -> Mapping[ClientName, Client]:
        """Every client as it is known now."""
        return {name: one.client for name, one in self._registrations.items()}

    def use(self, client: Client) -> None:
        """From the next request on this is how that client is known: its provider has published something new."""
        self._registrations[client.name] = replace(self._registrations[client.name], client=client)

    async def refresh(self, attempt: Attempt, claimed_at: Moment) -> None:
        """Carry one attempt through. `claimed_at`: taken before its claim was committed, so that its lease is never overrated."""
        before = attempt.credential
        registration = self._registrations[before.client]
        sent_at, began, began_boottime = self._clock.now(), self._clock.monotonic(), self._clock.boottime()
        outcome: Outcome | None = None
        try:
            outcome = await self._ask(
                registration.client,
                attempt,
                may_send=lambda: self._may_send(registration.policy, claimed_at, began),
            )
        except NotSent:
            pass
        finally:
            self._throttle.finished(before.client, outcome, sent_at=sent_at, repeats=before.failures > 0)
        if outcome is None:
            await self._release(attempt)
            return
        self._reached(Step.ANSWERED)
        took = timedelta(seconds=self._clock.boottime() - began_boottime)
        current = self._registrations[before.client]  # sliding may have been proven since
        settled_at = self._timekeeper.moment()
        if by := self._timekeeper.moved_since(claimed_at):
            attempt = replace(attempt, credential=moved(before, by))
        transition = await self._settle(attempt, _unrotated(outcome, attempt), current.policy, took=took)
        self._reached(Step.SETTLED)
        verdict = await self._answers.store(attempt, transition, settled_at)
        self._reached(Step.COMMITTED)
        self._observer.on_event(RequestFinished(client=before.client, outcome=label(outcome), duration=took))
        await self._tell(attempt, transition, verdict, current)

    async def _ask(self, client: Client, attempt: Attempt, *, may_send: Callable[[], bool]) -> Outcome:
        if client.grant is GrantType.CLIENT_CREDENTIALS:
            return without_login(await self._endpoint.obtain(client, may_send=may_send))
        if attempt.refresh_token is None:
            # a fault of ours: the claim holds such rows
            raise ValueError("an attempt of a client that needs a login has no refresh token")
        return await self._endpoint.refresh(client, attempt.refresh_token, attempt.credential.scope, may_send=may_send)

    async def _settle(
        self, attempt: Attempt, outcome: Outcome, policy: RefreshPolicy, *, took: timedelta
    ) -> Transition:
        """A refusal holds no token, so there is time to look around before it is believed; an answer with one has none (R3)."""
        before, now, draw = attempt.credential, self._timekeeper.now(), self._draw()
        sent_at = now - took
        if not isinstance(outcome, Rejected):
            return settle(before, outcome, policy, sent_at=sent_at, now=now, draw=draw)
        rescued, storm = await self._judge.look_around(attempt, outcome, now=now)
        if rescued is None:
            return settle(before, outcome, policy, sent_at=sent_at, now=now, draw=draw, storm=storm)
        answer, answered_at = as_answer(rescued, now=now)
        adopted = settle(before, answer, policy, sent_at=answered_at, now=now, draw=draw)
        after = replace(adopted.after, next_attempt_at=now)  # nobody has tried it yet
        return replace(adopted, adopts=rescued.id, after=laned(after))

    def _may_send(self, policy: RefreshPolicy, claimed_at: Moment, began: float) -> bool:
        """The last look before the first byte: no drain began, and the lease still covers the request and its commit.

        The total deadline runs since `began` (monotonic): what connecting took is no longer needed.
        """
        rest = max(0.0, policy.request_timeout.total_seconds() - (self._clock.monotonic() - began))
        needed = rest + policy.commit_timeout.total_seconds()
        used = self._clock.boottime() - claimed_at.boottime
        if self._health.draining or used + needed > policy.lease.total_seconds():
            return False
        self._reached(Step.SENDING)
        return True

    async def _release(self, attempt: Attempt) -> None:
        before = attempt.credential
        cause = "draining" if self._health.draining else "lease_too_short"
        try:
            await self._store.release(attempt)
        except StoreUnavailable as exc:  # harmless: the lease runs out and the row is taken up as in doubt
            self._observer.on_event(StoreFailed(doing="release", error=str(exc)))
            return
        self._observer.on_event(
            AttemptReleased(id=before.id, client=before.client, generation=before.generation, cause=cause)
        )

    async def _tell(
        self,
        attempt: Attempt,
        transition: Transition,
        verdict: Committed | Conflict | None,
        registration: Registration,
    ) -> None:
        before = attempt.credential
        match verdict:
            case Conflict(revoking=True) if transition.refresh_token is not None:
                self._observer.on_event(LateTokenToRevoke(id=before.id, client=before.client))
            case Conflict(earlier_login=True):
                self._observer.on_event(
                    EarlierLoginDropped(id=before.id, client=before.client, generation=before.generation)
                )
            case Conflict(rescued=True):
                self._observer.on_event(TokenRescued(id=before.id, client=before.client, generation=before.generation))
            case Conflict():
                self._observer.on_event(AnswerDropped(id=before.id, client=before.client, generation=before.generation))
            case Committed():
                if transition.visible:
                    self._on_commit()
                self._tell_of_adoption(transition)
                self._observer.on_event(transition.event)
                await self._judge.committed(before, transition)
                self._warn_of_short_life(transition, registration)
                if transition.proves_sliding and self._timekeeper.trusted:
                    await self._prove_sliding(transition, registration)
            case None:
                pass

    def _tell_of_adoption(self, transition: Transition) -> None:
        if transition.adopts is not None:
            after = transition.after
            self._observer.on_event(RescuedTokenAdopted(id=after.id, client=after.client, generation=after.generation))

    def _warn_of_short_life(self, transition: Transition, registration: Registration) -> None:
        """Once a client: the provider's tokens live shorter than configured, so the margin had to shrink."""
        event = transition.event
        if not isinstance(event, CredentialRefreshed) or event.client in self._short_lived:
            return
        shrunk = margin(registration.policy, event.lifetime)
        if shrunk < registration.policy.refresh_before_expiry:
            self._short_lived.add(event.client)
            self._observer.on_event(
                MarginShrunk(client=event.client, lifetime=event.lifetime, refresh_before_expiry=shrunk)
            )

    async def _prove_sliding(self, transition: Transition, registration: Registration) -> None:
        """One proof holds for every credential of the registration (protocol §1)."""
        name, lifetime = registration.client.name, registration.policy.refresh_lifetime
        if lifetime is None or self._registrations[name].policy.lifetime_from is LifetimeFrom.ROTATION:
            return
        policy = replace(registration.policy, lifetime_from=LifetimeFrom.ROTATION)
        self._registrations[name] = replace(self._registrations[name], policy=policy)
        try:
            await self._store.prove_sliding(name, lifetime=lifetime, ladder=policy.ladder, now=self._clock.now())
        except StoreUnavailable as exc:  # the next refresh past a deadline proves it again after a restart
            self._observer.on_event(StoreFailed(doing="prove_sliding", error=str(exc)))
            return
        self._on_commit()
        self._observer.on_event(SlidingProven(client=name, id=transition.after.id))


def _unrotated(outcome: Outcome, attempt: Attempt) -> Outcome:
    """A provider that sends the same refresh token back did not rotate it."""
    if isinstance(outcome, Refreshed) and outcome.refresh_token == attempt.refresh_token:
        return replace(outcome, refresh_token=None)
    return outcome
