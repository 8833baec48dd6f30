"""What a ledger keeps: the rules of the house, logins, their tokens, and every look at one. Data only.

Instants are seconds since 1970, lengths are seconds.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from refreshd.demo.dialects import Dialect, Verdict


class Grace(StrEnum):
    """What a used refresh token still gets within `grace_seconds` of its first use."""

    NONE = "none"
    SAME = "same"  # the answer to its first use once more: the same successor and access token
    NEW = "new"  # a further successor; the family then has two branches and stays alive


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How this provider behaves. All lengths in seconds; `refresh_lifetime` None: no end.

    `sliding`: the refresh lifetime counts from the last rotation, else from the login.
    """

    access_lifetime: float = 3600.0
    refresh_lifetime: float | None = 30 * 86400.0
    sliding: bool = True
    rotates: bool = True
    grace: Grace = Grace.NONE
    grace_seconds: float = 0.0
    dialect: Dialect = Dialect.HYDRA_2_3


@dataclass(slots=True)
class Presentation:
    """One request that reached the grant check: the client had proved itself and the request was well formed."""

    at: float
    verdict: Verdict
    client_id: str


@dataclass(slots=True)
class IssuedToken:
    """One refresh token. `used_at`: when it was rotated away; never set by a provider that does not rotate.

    `access_token`, `access_expires_at` are what it was issued with; `successor` is the value that its first use brought.
    """

    value: str
    family: str
    serial: int
    issued_at: float
    used_at: float | None = None
    presentations: list[Presentation] = field(default_factory=list)
    access_token: str = ""
    access_expires_at: float = 0.0
    successor: str | None = None


@dataclass(slots=True)
class Family:
    """All tokens since one login. `issued` and `verdicts` count what `tokens` may no longer hold (`Ledger.keep`).

    `access_token` is the one living access token: the old one dies at the refresh. `died_because` is REUSED (theft),
    REVOKED (a person withdrew consent) or EXPIRED (presented after its end).
    """

    id: str
    client_id: str
    scope: str
    login_at: float
    alive: bool = True
    died_because: Verdict | str | None = None
    died_at: float | None = None
    tokens: list[IssuedToken] = field(default_factory=list)
    access_token: str = ""
    access_expires_at: float = 0.0
    issued: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
