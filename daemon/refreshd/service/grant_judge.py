"""Before a refusal is believed: was a token put aside, and are so many refused that the provider is at fault (R5, R10)?"""

from datetime import datetime

from refreshd.domain.condemnation import would_condemn
from refreshd.domain.credential import ClientName, Credential
from refreshd.domain.events import GrantStormBegan, GrantStormEnded, StoreFailed
from refreshd.domain.outcome import Rejected
from refreshd.domain.rescue import RescuedToken
from refreshd.domain.storm import LONGEST, Weather, judge
from refreshd.domain.transition import Transition
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.store import Attempt, Store, StoreUnavailable


class GrantJudge:
    """Reads what speaks for a refused credential. While the store does not answer nobody is condemned."""

    def __init__(self, *, store: Store, observer: Observer, clock: Clock) -> None:
        self._store = store
        self._observer = observer
        self._clock = clock

    async def look_around(
        self, attempt: Attempt, outcome: Rejected, *, now: datetime
    ) -> tuple[RescuedToken | None, bool]:
        """A token to adopt, if one was put aside; and whether nobody may be condemned now."""
        try:
            rescued = await self._store.rescued(attempt)
            if rescued is not None or not would_condemn(attempt.credential, outcome, now=now):
                return rescued, False
            return None, await self._storms(attempt.credential.client, now)
        except StoreUnavailable as exc:
            self._observer.on_event(StoreFailed(doing="judge", error=str(exc)))
            return None, True

    async def committed(self, before: Credential, transition: Transition) -> None:
        """A refused credential that was refreshed after all ends its client's storm: the fault was the provider's."""
        if not (transition.has_tokens and before.rejections and transition.adopts is None):
            return
        try:
            await self._end(before.client, "refreshed", counts_from=self._clock.now(), anew=True)
        except StoreUnavailable as exc:  # the next such success ends it
            self._observer.on_event(StoreFailed(doing="end_storm", error=str(exc)))

    async def _storms(self, client: ClientName, now: datetime) -> bool:
        facts = await self._store.refusals(client, now=now)
        match judge(facts, now=now):
            case Weather.CALM:
                return False
            case Weather.RAGES:
                return True
            case Weather.BEGINS:
                if await self._store.begin_storm(client, now=now):
                    self._observer.on_event(
                        GrantStormBegan(client=client, refused=facts.refused, credentials=facts.credentials)
                    )
                return True
            case Weather.OVER:
                await self._end(client, "a_day_old", counts_from=now + LONGEST, anew=False)
                return False

    async def _end(self, client: ClientName, cause: str, *, counts_from: datetime, anew: bool) -> None:
        if await self._store.end_storm(client, counts_from=counts_from, now=self._clock.now(), anew=anew):
            self._observer.on_event(GrantStormEnded(client=client, cause=cause))
