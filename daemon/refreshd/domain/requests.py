"""What consumers ask for, and which of it leads to a refresh (contract: Redis, `PREFIX:requests`). Pure.

A request names the generation that an API refused with 401. Any number of them for one generation lead to one refresh: the
first marks the row due, and after that the generation is another one. What could not lead to a new token soon, or would undo
a wait that protects a login, leads to nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from refreshd.domain.credential import CREDENTIAL_ID, CredentialId

PATIENCE = timedelta(seconds=10)
"""As long as a consumer waits for a newer token. A request that found no turn by then is dropped: it may be made again."""
_GENERATION = re.compile(r"[0-9]{1,15}")


class Verdict(StrEnum):
    """What became of one request.

    `STALE`: that generation is not the current one. `LIMITED`: asked for too often. `IGNORED`: the credential's state does not
    allow it: paused, held, a person is needed, under way, or about to be repeated at a time of its own.
    """

    ACCEPTED = "accepted"
    STALE = "stale"
    UNKNOWN = "unknown"
    IGNORED = "ignored"
    LIMITED = "limited"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRequest:
    """Somebody was refused with the token of this generation."""

    id: CredentialId
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """`per_credential`: the least time between two accepted requests for one credential. `in_all`: for any two."""

    per_credential: timedelta
    in_all: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the store says of a credential that is asked for. `able`: it could be refreshed now."""

    generation: int
    able: bool
    requested_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """Those that exist, and when a request was last accepted for any credential."""

    found: Mapping[CredentialId, Standing]
    requested_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`take`: whose turn it is. `verdicts`: of those that lead to nothing. Whoever is in neither waits for a turn."""

    take: RefreshRequest | None
    verdicts: Mapping[RefreshRequest, Verdict]


def parse(fields: Mapping[str, str]) -> RefreshRequest | None:
    """One entry of the stream; None when it is malformed. Fields that we do not know are left alone."""
    name, generation = fields.get("id", ""), fields.get("generation", "")
    if CREDENTIAL_ID.fullmatch(name) is None or _GENERATION.fullmatch(generation) is None:
        return None
    return RefreshRequest(id=CredentialId(name), generation=int(generation))


def decide(
    waiting: Mapping[RefreshRequest, timedelta], standings: Standings, limits: RequestLimits, *, now: datetime
) -> Decision:
    """`waiting`: the different requests, oldest first, with how long each has waited."""
    verdicts: dict[RefreshRequest, Verdict] = {}
    take = None
    for request, waited in waiting.items():
        verdict = _judge(request, standings.found.get(request.id), limits, now)
        if verdict is not Verdict.ACCEPTED:
            verdicts[request] = verdict
        elif take is None and not within(standings.requested_at, limits.in_all, now):
            take = request
        elif waited >= PATIENCE:
            verdicts[request] = Verdict.LIMITED
    return Decision(take=take, verdicts=verdicts)


def within(at: datetime | None, length: timedelta, now: datetime) -> bool:
    """Whether that was so lately. What a clock dated into the future that has gone back since, limits nobody."""
    return at is not None and timedelta(0) <= now - at < length


def _judge(request: RefreshRequest, standing: Standing | None, limits: RequestLimits, now: datetime) -> Verdict:
    if standing is None:
        return Verdict.UNKNOWN
    if standing.generation != request.generation:
        return Verdict.STALE
    if within(standing.requested_at, limits.per_credential, now):
        return Verdict.LIMITED
    return Verdict.ACCEPTED if standing.able else Verdict.IGNORED
