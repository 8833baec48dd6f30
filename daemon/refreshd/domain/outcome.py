"""The five things that one token request can have come to. A closed union: take it apart with `match`.

`code` is ours or an OAuth error code from a closed list, safe for a metric label or a log field.
`detail` is the provider's text, scrubbed and cut by the adapter; it goes to the log and nowhere else.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from refreshd.domain.secret import Secret


class Phase(StrEnum):
    """How far a request had come when its outcome was known; kept in the history as evidence.

    `claimed`: the process ended or lost its lease with the attempt open; whether it had sent anything is not known.
    """

    CLAIMED = "claimed"
    UNSENT = "unsent"
    SENT = "sent"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedAccess:
    """A usable access token from a 2xx answer. `expires_in` is None when the provider did not say."""

    value: Secret
    token_type: str
    expires_in: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """The provider answered 2xx with at least one usable token.

    `access` None: a refresh token came, but nothing that may be published. `refresh_token` None: the old one goes on.
    `anomalies`: what was odd about the answer, for `response_anomalies_total{kind}`.
    """

    access: GrantedAccess | None
    refresh_token: Secret | None
    scope: str | None = None
    anomalies: tuple[str, ...] = ()
    code: str = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Surely not processed: the refresh token is as good as before.

    `throttled`: the provider asked the whole client to slow down, not this credential.
    """

    code: str
    retry_after: timedelta | None = None
    throttled: bool = False
    detail: str = ""
    phase: Phase = Phase.ANSWERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertain:
    """May have been processed: the refresh token may be spent. `shared`: somebody else uses our token."""

    code: str
    shared: bool = False
    detail: str = ""
    phase: Phase = Phase.ANSWERED


class Confirmation(StrEnum):
    """How much it takes to believe a rejection."""

    FAST = "fast"
    SLOW = "slow"
    SLOWEST = "slowest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The provider refused this credential."""

    code: str
    confirmation: Confirmation
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misconfigured:
    """The provider refused our client, or the address is wrong: no credential is to blame."""

    code: str
    detail: str = ""
    phase: Phase = Phase.ANSWERED


Outcome = Refreshed | Deferred | Uncertain | Rejected | Misconfigured


def label(outcome: Outcome) -> str:
    """The outcome's name in metrics, in the row and in `show`."""
    return type(outcome).__name__.lower()


def phase_of(outcome: Outcome) -> Phase:
    """How far the request had come. Tokens and refusals are always answers."""
    return Phase.ANSWERED if isinstance(outcome, Refreshed | Rejected) else outcome.phase


REFRESHED = Refreshed.__name__.lower()
UNCERTAIN = Uncertain.__name__.lower()
OUTCOME_LABELS = (REFRESHED, "deferred", UNCERTAIN, "rejected", "misconfigured")

ANOMALIES = (
    "access_token_missing",
    "access_token_unprintable",
    "duplicate_keys",
    "error_in_success",
    "expires_in_clamped",
    "expires_in_missing",
    "expires_in_unusable",
    "invalid_utf8",
    "oversized_success",
    "refresh_token_odd",
    "refresh_token_unusable",
    "required_scope_missing",
    "scope_narrowed",
    "scope_unusable",
    "token_type_missing",
    "token_type_unsupported",
    "truncated_success",
    "unreadable_success",
)
"""Everything that can be odd about a success: the values of `response_anomalies_total{kind}`."""
