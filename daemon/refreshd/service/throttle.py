"""What each client may be asked to bear now: requests in flight, requests per second, and whether it may be asked at all."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from refreshd.domain import breaker as rules
from refreshd.domain.breaker import Breaker
from refreshd.domain.client import Limits
from refreshd.domain.credential import ClientName
from refreshd.domain.events import ClientResumed, ClientSuspended, ClientThrottled, InFlightChanged, SlowStart
from refreshd.domain.outcome import Outcome
from refreshd.domain.pace import Pace, learn, now_at, slowed
from refreshd.ports.clock import Clock
from refreshd.ports.observer import Observer
from refreshd.ports.store import Capacity

BURST = 0.1  # seconds' worth of requests that may leave at once
SHORTEST_WAIT = 0.05  # seconds
RETRY_SHARE = 0.2  # of a client's slots, while first attempts wait


@dataclass(slots=True)
class _State:
    """One client. `tokens`: requests that its rate allows now, as of `filled_at` (monotonic seconds).

    `repeating`: those in flight that are no first attempts. `started`: the number of its latest start, over all clients.
    `withheld`: its address is not known; `cause`: why, if that was told.
    """

    tokens: float
    filled_at: float
    in_flight: int = 0
    repeating: int = 0
    started: int = 0
    pace: Pace = field(default_factory=Pace)
    breaker: Breaker = field(default_factory=Breaker)
    withheld: bool = False
    cause: str | None = None


class Throttle:
    """Counts and breakers of all clients. Lives in memory: after a restart a suspended client is simply tried again."""

    def __init__(
        self,
        limits: Mapping[ClientName, Limits],
        *,
        concurrency: int,
        leases: Mapping[ClientName, timedelta],
        horizons: Mapping[ClientName, timedelta],
        machines: Collection[ClientName] = (),
        clock: Clock,
        observer: Observer,
        on_free: Callable[[], None] = lambda: None,
    ) -> None:
        """`leases`: how long an attempt may own its row; `horizons`: how long a living access token can have been due.

        `concurrency`: requests in flight over all clients. `machines`: clients that ask for themselves. `on_free` is called when
        a request has ended: its slot is free while its answer is still being stored.
        """
        self._limits = self._configured = limits
        self.concurrency = concurrency
        self._on_free = on_free
        self._leases = leases
        self._horizons = horizons
        self._machines = frozenset(machines)
        self._clock = clock
        self._observer = observer
        self._starts = 0
        start = clock.monotonic()
        self._states = {name: _State(tokens=_burst(limit), filled_at=start) for name, limit in limits.items()}

    @property
    def free(self) -> int:
        """How many requests may start now over all clients."""
        return max(0, self.concurrency - sum(state.in_flight for state in self._states.values()))

    def capacity(self) -> dict[ClientName, Capacity]:
        """What may start now, a client each; 0 for a suspended one, so that it hides nobody.

        Who started longest ago comes first: a client whose provider hangs must not take every slot that becomes free.
        """
        now = self._clock.now()
        room: dict[ClientName, Capacity] = {}
        for name in sorted(self._limits, key=lambda name: self._states[name].started):
            limit = self._limits[name]
            state = self._fill(name, limit)
            free = max(0, min(limit.max_in_flight - state.in_flight, int(state.tokens)))
            count = 0
            if not state.withheld:
                count = rules.allowance(state.breaker, free, in_flight=state.in_flight, now=now)
            room[name] = Capacity(
                count=count,
                lease=self._leases[name],
                probe=state.breaker.suspended,
                retries=max(0, max(1, int(limit.max_in_flight * RETRY_SHARE)) - state.repeating),
                horizon=self._horizons[name],
                machine=name in self._machines,
            )
        return room

    def withhold(
        self, client: ClientName, *, cause: str | None = None, until: datetime | None = None, detail: str = ""
    ) -> None:
        """Start nothing of this client until `permit`: where its requests go is not known. Told when the cause changes."""
        state = self._states[client]
        state.withheld = True
        if cause is not None and until is not None and cause != state.cause:
            state.cause = cause
            self._observer.on_event(ClientSuspended(client=client, cause=cause, probe_at=until, detail=detail))

    def permit(self, client: ClientName) -> None:
        state = self._states[client]
        if state.withheld and state.cause is not None:
            self._observer.on_event(ClientResumed(client=client, cause=state.cause))
        state.withheld, state.cause = False, None

    def share(self, living: int) -> None:
        """So many daemons ask on behalf of these clients: each may do its part, and at least one request at a time."""
        self._limits = {
            name: replace(limit, max_in_flight=max(1, limit.max_in_flight // living), max_rate=limit.max_rate / living)
            for name, limit in self._configured.items()
        }

    def moved(self, by: timedelta) -> None:
        """The wall clock went back: what is waited for lies as far ahead as before."""
        for state in self._states.values():
            state.breaker = rules.moved(state.breaker, by)

    def start_slowly(self, cause: str) -> None:
        """Begin every client at a tenth of its rate (protocol §4)."""
        for name, state in self._states.items():
            state.pace = slowed(self._clock.monotonic())
            self._observer.on_event(SlowStart(client=name, cause=cause))

    def next_token_in(self) -> float:
        """Seconds until a client that only its rate holds back may start one more request; infinite if there is none."""
        now = self._clock.now()
        waits = []
        for name, limit in self._limits.items():
            state = self._fill(name, limit)
            usable = not state.withheld and rules.allowance(state.breaker, 1, in_flight=state.in_flight, now=now) > 0
            if usable and state.tokens < 1 and state.in_flight < limit.max_in_flight:
                waits.append((1 - state.tokens) / (limit.max_rate * state.pace.share))
        return max(SHORTEST_WAIT, min(waits, default=math.inf))

    def started(self, client: ClientName, *, repeats: bool) -> None:
        """`repeats`: not the first attempt at its turn; such may take a fifth of the slots while first attempts wait."""
        state = self._states[client]
        state.tokens -= 1
        state.in_flight += 1
        state.repeating += repeats
        self._starts += 1
        state.started = self._starts
        self._observer.on_event(InFlightChanged(client=client, in_flight=state.in_flight))

    def finished(self, client: ClientName, outcome: Outcome | None, *, sent_at: datetime, repeats: bool) -> None:
        """The slot is free again; `outcome` None when nothing was sent."""
        state = self._states[client]
        state.in_flight -= 1
        state.repeating -= repeats
        self._observer.on_event(InFlightChanged(client=client, in_flight=state.in_flight))
        if outcome is not None:
            before = state.breaker
            state.breaker = rules.observe(before, outcome, sent_at=sent_at, now=self._clock.now())
            self._tell(client, before, state.breaker)
            self._learn_pace(client, state, outcome)
        self._on_free()

    def _learn_pace(self, client: ClientName, state: _State, outcome: Outcome) -> None:
        before = now_at(state.pace, self._clock.monotonic())
        state.pace = learn(before, outcome, at=self._clock.monotonic())
        if state.pace.share < before.share:
            self._observer.on_event(SlowStart(client=client, cause="provider_outage"))

    def _tell(self, client: ClientName, before: Breaker, after: Breaker) -> None:
        if after.cause is not None and after.probe_at is not None and after.cause != before.cause:
            self._observer.on_event(
                ClientSuspended(client=client, cause=after.cause, probe_at=after.probe_at, detail=after.detail)
            )
        if before.cause is not None and after.cause is None:
            self._observer.on_event(ClientResumed(client=client, cause=before.cause))
        until = after.throttled_until
        if until is not None and (before.throttled_until is None or until > before.throttled_until):
            self._observer.on_event(ClientThrottled(client=client, until=until))

    def _fill(self, name: ClientName, limit: Limits) -> _State:
        state, now = self._states[name], self._clock.monotonic()
        state.pace = now_at(state.pace, now)
        rate = limit.max_rate * state.pace.share
        state.tokens = min(_burst(limit), state.tokens + (now - state.filled_at) * rate)
        state.filled_at = now
        return state


def _burst(limit: Limits) -> float:
    return max(1.0, limit.max_rate * BURST)
