"""What a login came to, and what its answer is worth. A closed union: take it apart with `match`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from refreshd.domain.callback import Declined, MixedUp
from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.grant import Grant
from refreshd.domain.outcome import Deferred, Misconfigured, Refreshed, Rejected, Uncertain
from refreshd.domain.token_text import scope_words


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """The tokens are stored. `account` None: nobody could say whose they are, and why stands in `unknown`.

    `replaced`: another login stood under this id. `missing`: required scopes that were not granted. `resumed`: an interrupted
    login was finished, and nobody was asked to log in. `elsewhere`: another command had stored this login before us.
    """

    id: CredentialId
    client: ClientName
    replaced: bool
    account: str | None = None
    unknown: str | None = None
    missing: tuple[str, ...] = ()
    paused: bool = False
    resumed: bool = False
    elsewhere: bool = False


class Fate(StrEnum):
    """What becomes of the tokens of a login that was refused.

    `queued`: the daemon revokes them. `no_endpoint`: the provider cannot. `shared`: they are only dropped, because another
    credential has that account, and a provider may end all of a person's logins with one (RFC 7009 §2.1).
    """

    QUEUED = "queued"
    NO_ENDPOINT = "no_endpoint"
    SHARED = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherAccount:
    """Somebody else logged in: the stored login is untouched."""

    id: CredentialId
    stored: str
    found: str
    fate: Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRefreshToken:
    """The answer would end with its access token: nothing was stored. `granted`: the scope as the provider named it."""

    required: str
    granted: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeNotRedeemed:
    """The token endpoint gave no tokens for the code."""

    outcome: Rejected | Misconfigured | Deferred | Uncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOwned:
    """The provider handed out a refresh token that another credential has: two owners would end it for both."""

    owner: CredentialId


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """Another command replaced, refused or removed this login while its account was asked for: nothing was written."""

    id: CredentialId


class Finish(StrEnum):
    """What became of a login that was set aside.

    `stored`: it is the credential's now. `stored_before`: another command has stored it, and it still stands. `gone`: it is
    neither set aside nor the credential's, so its tokens may be spent.
    """

    STORED = "stored"
    STORED_BEFORE = "stored_before"
    GONE = "gone"


class Silence(StrEnum):
    """Why no answer came from the browser."""

    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    END_OF_INPUT = "end_of_input"
    TOO_MANY_TRIES = "too_many_tries"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Nothing was sent to the token endpoint."""

    cause: Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReady:
    """The store could not have kept an answer, so no code was spent. `fault` is fit for a terminal."""

    fault: str


LoginResult = (
    LoggedIn
    | OtherAccount
    | NoRefreshToken
    | CodeNotRedeemed
    | TokenOwned
    | Superseded
    | Declined
    | MixedUp
    | NoAnswer
    | NotReady
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who the access token belongs to, by the provider's own word."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The provider did not tell; `reason` is fit for a terminal."""

    reason: str


def granted(
    answer: Refreshed,
    *,
    id: CredentialId,  # noqa: A002 - the field's name everywhere
    client: ClientName,
    asked: str,
    lifetime: timedelta,
    sent_at: datetime,
) -> Grant | None:
    """The answer as a login to be stored; None without a refresh token. Expiry counts from before it was asked for (R13)."""
    if answer.refresh_token is None:
        return None
    access = answer.access
    return Grant(
        id=id,
        client=client,
        refresh_token=answer.refresh_token,
        access_token=access.value if access else None,
        token_type=access.token_type if access else "Bearer",
        scope=answer.scope or asked or None,
        issued_at=sent_at,
        expires_at=sent_at + (access.expires_in or lifetime) if access else None,
        login_at=sent_at,
    )


def missing_scope(granted: str | None, required: str) -> tuple[str, ...]:
    """Required words that the provider left out of a scope that it named."""
    if granted is None:
        return ()
    return tuple(word for word in required.split() if word not in scope_words(granted))
