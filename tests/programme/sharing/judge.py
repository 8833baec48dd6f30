"""Whether what reached the provider twice may be blamed on a replica that died or froze. Pure: facts in, texts out.

The witness is the attempt log: the first presentation's attempt ended unheard (its lease ran out, or its answer did not come), and
its owner was killed or frozen while the lease ran, or said itself that it does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from refreshd.demo.dialects import Verdict
from refreshd.demo.grants import Family, IssuedToken

LAPSED = "lease_ran_out"
_SLACK = 0.5
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """A replica was frozen from `began_at` until `ended_at`, or killed then."""

    owner: str
    began_at: float
    ended_at: float


def unexplained_reuses(
    reuses: Sequence[IssuedToken], logins: Mapping[str, str], log: Sequence[Attempt], *, settle_delay: float
) -> list[str]:
    """A text for each token presented again although the log says that its answer was heard, or too early (R8)."""
    unheard: dict[tuple[str, int], list[Attempt]] = {}
    for attempt in log:
        if attempt.code == LAPSED or attempt.outcome == "uncertain":
            unheard.setdefault((attempt.credential, attempt.generation), []).append(attempt)
    texts = []
    for token in reuses:
        name = logins.get(token.family, "nobody")
        earlier = unheard.get((name, token.serial + 1), [])
        for first, second in pairwise(token.presentations):
            if first.verdict not in _ROTATING:
                continue  # a refusal lost nothing: asking once more is a confirmation (R10)
            what = f"{name}: token {token.serial} of {token.family} presented at {first.at:.3f} and {second.at:.3f}"
            if not any(one.started_at <= first.at + _SLACK and one.ended_at <= second.at + _SLACK for one in earlier):
                texts.append(f"presented twice outside doubt: {what}")
            elif second.at - first.at < settle_delay - _SLACK:
                texts.append(f"asked again, not settled yet: {what}")
    return texts


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
