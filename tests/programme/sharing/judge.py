"""Whether what reached the provider twice may be blamed on a replica that died or froze. Pure: facts in, texts out.

Two witnesses. The attempt log: the first presentation's attempt ended unheard (its lease ran out, or its answer did not come),
and whoever asked again waited as long as R8 demands. And the provider: the first request arrived while its attempt lasted, but
for what the provider itself lost on the way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from refreshd.demo.dialects import Verdict
from refreshd.demo.grants import Family, IssuedToken, Presentation
from tests.programme.daemons.lateness import Lag, on_time

LAPSED = "lease_ran_out"
_SLACK = 0.5
_CLOCK = 0.25
"""What a replica's reading of the database's clock may be wrong by on a busy machine."""
_MICROSECOND = 1e-6
"""The log's instants come as floats."""
_ROTATING = (Verdict.ROTATED, Verdict.REGRANTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One line of the attempt log. Instants in seconds since 1970; `generation`: of the presented token."""

    credential: str
    owner: str
    generation: int
    started_at: float
    ended_at: float
    outcome: str
    code: str

    @property
    def unheard(self) -> bool:
        return self.code == LAPSED or self.outcome == "uncertain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which they worked. `slowest`: how long the provider lets a request lie on purpose; all in seconds."""

    settle_delay: float
    lease: float
    slowest: float

    def sent_until(self, attempt: Attempt) -> float:
        """When its request was on its way at the latest: a lease that ends later is for others to find."""
        return min(attempt.ended_at, attempt.started_at + self.lease)

    def settled_at(self, attempt: Attempt) -> float:
        """When an unheard one may be repeated (protocol R8)."""
        if attempt.code == LAPSED:
            return attempt.started_at + self.lease
        return attempt.ended_at + self.settle_delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """A replica was frozen from `began_at` until `ended_at`, or killed then."""

    owner: str
    began_at: float
    ended_at: float


def unexplained_reuses(
    reuses: Sequence[IssuedToken], logins: Mapping[str, str], log: Sequence[Attempt], terms: Terms, lag: Lag = on_time
) -> list[str]:
    """A text for each token presented again although the log says that its answer was heard, or sent after its attempt."""
    unheard: dict[tuple[str, int], list[Attempt]] = {}
    for attempt in log:
        if attempt.unheard:
            unheard.setdefault((attempt.credential, attempt.generation), []).append(attempt)
    texts = []
    for token in reuses:
        name = logins.get(token.family, "nobody")
        for first, second in _repetitions(token):
            mine = [
                one
                for one in unheard.get((name, token.serial + 1), [])
                if one.started_at <= first.at + _CLOCK and one.ended_at <= second.at + _CLOCK
            ]
            what = f"{name}: token {token.serial} of {token.family} presented at {first.at:.3f} and {second.at:.3f}"
            if not mine:
                texts.append(f"presented twice outside doubt: {what}")
            elif not any(_in_time(first, one, terms, lag) for one in mine):
                texts.append(f"sent after its attempt was over: {what}; {mine[-1]}")
    return texts


def repeated_too_early(log: Sequence[Attempt], terms: Terms) -> list[str]:
    """A text for each unheard attempt that was repeated before it was settled, by the log alone: whatever the provider saw."""
    texts = []
    for first, second in pairwise(sorted(log, key=lambda one: (one.credential, one.started_at))):
        same = (first.credential, first.generation) == (second.credential, second.generation)
        early = terms.settled_at(first) - second.started_at
        if same and first.unheard and early > _MICROSECOND:
            texts.append(f"asked again {early:.3f} s too early: {first} and {second}")
    return texts


def met_at_the_provider(reuses: Sequence[IssuedToken], terms: Terms) -> int:
    """Repetitions that the provider took up within `settle_delay`. The judges above say whether that was its own doing."""
    return sum(second.at - first.at < terms.settle_delay for token in reuses for first, second in _repetitions(token))


def unexplained_lapses(log: Sequence[Attempt], disturbances: Sequence[Disturbance], *, lease: float) -> list[str]:
    """A text for each lease that ran out although nothing had happened to its owner."""
    by_owner: dict[str, list[Disturbance]] = {}
    for one in disturbances:
        by_owner.setdefault(one.owner, []).append(one)
    return [
        f"{attempt.credential}: the lease of {attempt.owner} from {attempt.started_at:.3f} ran out for nothing"
        for attempt in log
        if attempt.code == LAPSED
        and not any(
            one.began_at <= attempt.started_at + lease + _SLACK and one.ended_at >= attempt.started_at - _SLACK
            for one in by_owner.get(attempt.owner, [])
        )
    ]


def unexplained_losses(families: Sequence[Family], reuses: Sequence[IssuedToken]) -> list[str]:
    """A text for each login that died of anything but the reuse of a token; reuses are judged by themselves."""
    reused = {token.family for token in reuses}
    return [
        f"the login {family.id} died of {family.died_because}"
        for family in families
        if not family.alive and (family.died_because is not Verdict.REUSED or family.id not in reused)
    ]


def _repetitions(token: IssuedToken) -> list[tuple[Presentation, Presentation]]:
    """Without those after a refusal, which lost nothing: asking once more is a confirmation (R10)."""
    return [(first, second) for first, second in pairwise(token.presentations) if first.verdict in _ROTATING]


def _in_time(first: Presentation, attempt: Attempt, terms: Terms, lag: Lag) -> bool:
    sent = terms.sent_until(attempt)
    return first.at <= sent + terms.slowest + lag(sent, first.at) + _CLOCK
