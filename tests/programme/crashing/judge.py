"""Whether what reached the provider twice may be blamed on a kill. Pure: presentations and deaths in, texts out.

The one window (protocol §5, row 4): the provider had rotated, and the kill came before our commit. Its witness is what the
dead process left in the store: an open attempt of that credential, begun before the token was presented.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from refreshd.demo.dialects import Verdict
from refreshd.demo.grants import Family, IssuedToken, Presentation
from tests.programme.daemons.lateness import Lag, on_time

_ROTATING = (Verdict.ROTATED, Verdict.REGRANTED)
_CLOCK = 0.05
_STILL_ON_ITS_WAY = 2.0
_LONGEST_REQUEST = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One kill. `open_attempts`: when each began, by credential id, as the store has it after the death."""

    case: int
    at: float
    open_attempts: Mapping[str, float]

    def explains(self, name: str, first: Presentation, second: Presentation, lag: Lag = on_time) -> bool:
        """`lag`: what the provider took up late had been sent before the death all the same."""
        began = self.open_attempts.get(name)
        if began is None:
            return False
        presented = began - _CLOCK <= first.at <= self.at + _STILL_ON_ITS_WAY + lag(self.at, first.at)
        return presented and self.at <= min(second.at, first.at + _LONGEST_REQUEST) + _CLOCK


def unexplained_reuses(
    reuses: Sequence[IssuedToken],
    logins: Mapping[str, str],
    deaths: Sequence[Death],
    *,
    settle_delay: float,
    lag: Lag = on_time,
) -> list[str]:
    """A text for each token that was presented again although no kill can have swallowed its answer, or too early (R8).

    Too early is counted from our own intent, so a provider that takes requests up late can only hide it, never feign it.
    """
    texts = []
    for token in reuses:
        name = logins.get(token.family, "nobody")
        for first, second in pairwise(token.presentations):
            if first.verdict not in _ROTATING:
                continue  # a refusal lost nothing: asking once more is a confirmation (R10)
            what = f"{name}: token {token.serial} of {token.family} presented at {first.at:.3f} and {second.at:.3f}"
            began = [
                (death.open_attempts[name], death.case) for death in deaths if death.explains(name, first, second, lag)
            ]
            if not began:
                texts.append(f"lost outside the window: {what}; deaths near: {_near(deaths, first.at)}")
            elif (waited := second.at - max(began)[0]) < settle_delay - _CLOCK:
                texts.append(f"asked again after {waited:.3f} s, not settled yet: {what}; case {max(began)[1]}")
    return texts


def unexplained_losses(families: Sequence[Family], reuses: Sequence[IssuedToken]) -> list[str]:
    """A text for each login that died of anything but the reuse of a token; reuses are judged by themselves."""
    reused = {token.family for token in reuses}
    return [
        f"the login {family.id} died of {family.died_because}"
        for family in families
        if not family.alive and (family.died_because is not Verdict.REUSED or family.id not in reused)
    ]


def _near(deaths: Sequence[Death], at: float) -> str:
    near = [f"case {death.case} at {death.at:.3f}" for death in deaths if abs(death.at - at) < _LONGEST_REQUEST]
    return ", ".join(near) or "none"
