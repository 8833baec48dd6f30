"""The 401 rule of refreshd's contract, and waiting for a token, as steps that either reader can take. No I/O.

Waiting is a few bounded reads that come ever more slowly, and all who wait for one credential share them. `XREAD BLOCK` on the
stream of events would wake sooner, but it needs the right to read everybody's events, which an ACL narrowed to an id prefix
cannot give; it holds a connection for each that waits, past the `socket_timeout` of the client that was handed in; and it
wakes for every other credential's refresh.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from refreshd_client.looking import Entry
from refreshd_client.token import Token
from refreshd_client.unavailable import WAITING_HELPS, Reason, TokenUnavailable

WAIT = 10.0
ASK_AFTER = 0.5
"""Where rotation is strict, the provider kills the old token a moment before the new one is published: no need to ask then."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Ask for a refresh of that generation if there is one, pause, then look; a look that is `max_age` seconds old will do."""

    max_age: float = 0.0
    pause: float = 0.0
    ask: int | None = None


def obtain(
    credential_id: str, *, max_age: float, min_valid: float, wait: float, clock: Clock
) -> Generator[Step, Entry, Token]:
    """A token that lives for `min_valid` seconds. Raises `TokenUnavailable`, after `wait` seconds where waiting may help."""
    began = clock()
    pauses, asked = _pauses(), False
    entry = yield Step(max_age=max_age)
    if entry.token is not None and not entry.lives(clock(), min_valid):
        entry = yield Step()  # it has died since we looked; its successor is there long since
    while entry.token is None or not entry.lives(clock(), min_valid):
        missing = entry.missing or _too_short(credential_id, entry, clock())
        left = began + wait - clock()
        if missing.reason not in WAITING_HELPS or left <= 0:
            raise TokenUnavailable(*missing.args)  # a new one each time: what is remembered gathers no tracebacks
        pause = min(next(pauses), left)
        ask = entry.token.generation if entry.token and not asked else None
        asked = asked or ask is not None
        entry = yield Step(ask=ask, pause=pause, max_age=pause / 2)
    return entry.token


def newer(than: int, *, wait: float, clock: Clock) -> Generator[Step, Entry, Token | None]:
    """What to try after a 401 with generation `than`. None when nothing newer came: then the 401 is the caller's."""
    began = clock()
    pauses, asked = _pauses(), False
    entry = yield Step()
    while entry.token is None or entry.token.generation <= than:
        left = began + wait - clock()
        if left <= 0 or (entry.missing and entry.missing.reason not in WAITING_HELPS):
            return None
        pause = min(next(pauses), left)
        ask = not asked and clock() - began >= min(ASK_AFTER, wait / 2)
        asked = asked or ask
        entry = yield Step(ask=than if ask else None, pause=pause, max_age=pause / 2)
    return entry.token


def _too_short(credential_id: str, entry: Entry, now: float) -> TokenUnavailable:
    """A token that has died since it was read is none."""
    return TokenUnavailable(credential_id, Reason.EXPIRES_SOON if entry.lives(now, 0) else Reason.NO_LIVING_TOKEN)


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)
