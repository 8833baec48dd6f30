"""What can go wrong around a ledger, as data: one closed union, read by `wire` over HTTP and by simulations without it.

Each class says what happens to one token request, in terms of three things: whether and when the ledger processes it
(*commits*), what the client sees, and when. Nothing here acts. Lengths are seconds.
"""

import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Ending(StrEnum):
    """How a connection ends without an answer."""

    RESET = "reset"  # RST: what was sent may be lost on the way
    CLOSE = "close"  # FIN, as from a server that was stopped
    HANG = "hang"  # it does not end: the client's own deadline does


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The request arrives between `low` and `high` seconds late, whether or not its client still waits; `then` befalls it.

    `Faults.take` draws once: what it returns has `low` equal to `high`.
    """

    low: float
    high: float
    then: "Fault | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseRequest:
    """Never committed: the connection ends after `after` seconds without an answer."""

    ending: Ending = Ending.RESET
    after: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayRequest:
    """The connection ends at once without an answer; the request lies in a proxy and is committed `after` seconds later.

    The trap of every retry: repeated sooner, the original arrives second and looks like theft (protocol R8).
    """

    after: float
    ending: Ending = Ending.RESET


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseAnswer:
    """Committed at once; the answer never leaves, and the connection ends `after` seconds later."""

    ending: Ending = Ending.RESET
    after: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TruncateAnswer:
    """Committed; status, headers (with the full length) and the first `at` bytes of the body arrive, then a close."""

    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateRequest:
    """Committed and answered; a stuck proxy has it committed once more `after` seconds later, that answer is lost."""

    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DripAnswer:
    """Committed; the body arrives byte by byte, one every `pause` seconds."""

    pause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherAnswer:
    """This answer stands in for the provider's own. `commits`: a gateway gave up although the provider went on.

    Ready-made ones are in `storms`.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    commits: bool = False


Fault = Latency | LoseRequest | DelayRequest | LoseAnswer | TruncateAnswer | DuplicateRequest | DripAnswer | OtherAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """A fault for everybody: for the next `count` requests, until the instant `until`, or both; `client_id`: its own only."""

    fault: Fault
    count: int | None = None
    until: float | None = None
    client_id: str | None = None


class Faults:
    """Decides what befalls the next request: the first storm that meets it, else the script, else the mix.

    `latency` comes before whatever that is. `chance` is drawn from once or twice a request, so a seed fixes the whole run.
    """

    def __init__(self, *, chance: random.Random | None = None) -> None:
        self.latency: Latency | None = None
        self.taken: Counter[str] = Counter()
        self._chance = chance or random.Random(0)  # noqa: S311 - reproducible mishaps, not secrets
        self._storms: list[Storm] = []
        self._script: deque[Fault | None] = deque()
        self._mix: list[tuple[float, Fault]] = []

    def script(self, *faults: Fault | None) -> None:
        """What befalls the next requests, one each, in this order; None lets one through."""
        self._script.extend(faults)

    def storm(self, storm: Storm) -> None:
        """Comes over requests as they arrive, before the script; storms that meet the same request take turns in order."""
        self._storms.append(storm)

    def mix(self, rates: Iterable[tuple[float, Fault]]) -> None:
        """Each pair is a share of the requests, 0 to 1, and what befalls it. Raises ValueError if they exceed 1 together."""
        chosen = list(rates)
        if any(rate < 0 for rate, _ in chosen) or sum(rate for rate, _ in chosen) > 1 + 1e-9:
            raise ValueError("the shares of a mix lie between 0 and 1, and so does their sum")
        self._mix = chosen

    def clear(self) -> None:
        """Back to a perfect network."""
        self.latency = None
        self._storms, self._mix = [], []
        self._script.clear()

    def take(self, *, at: float, client_id: str = "") -> Fault | None:
        """What befalls the request of `client_id` that arrives now; uses up one of a storm's count or of the script."""
        fault = self._next(at, client_id)
        if fault is not None:
            self.taken[type(fault).__name__] += 1
        if self.latency is not None:
            fault = replace(self.latency, then=fault)
        return self._drawn(fault) if isinstance(fault, Latency) else fault

    def _next(self, at: float, client_id: str) -> Fault | None:
        self._storms = [one for one in self._storms if one.count != 0 and (one.until is None or at < one.until)]
        for index, one in enumerate(self._storms):
            if one.client_id in (None, client_id):
                if one.count is not None:
                    self._storms[index] = replace(one, count=one.count - 1)
                return one.fault
        return self._script.popleft() if self._script else self._by_chance()

    def _by_chance(self) -> Fault | None:
        if not self._mix:
            return None
        draw = self._chance.random()
        for rate, fault in self._mix:
            draw -= rate
            if draw < 0:
                return fault
        return None

    def _drawn(self, latency: Latency) -> Latency:
        length = self._chance.uniform(latency.low, latency.high)
        then = self._drawn(latency.then) if isinstance(latency.then, Latency) else latency.then
        return Latency(low=length, high=length, then=then)
