"""How an authorization server words its refusals: Ory Hydra's ways over the years (protocol: facts about the providers).

Only words live here. What a presentation deserves is decided in `ledger`. Status, `error` and texts follow Ory's fosite,
`handler/oauth2/flow_refresh.go` and `errors.go` of the releases named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import assert_never

import orjson

JSON_HEADERS: Mapping[str, str] = MappingProxyType(
    {"content-type": "application/json;charset=UTF-8", "cache-control": "no-store", "pragma": "no-cache"}
)
"""RFC 6749 §5.1: no answer of a token endpoint may be stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes over the wire. `headers` have lower-case names."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)


class Verdict(StrEnum):
    """What the grant check came to."""

    ROTATED = "rotated"  # first use: a successor was issued
    REGRANTED = "regranted"  # used before, forgiven within the grace
    KEPT = "kept"  # this provider does not rotate: a new access token only
    REUSED = "reused"  # used before: theft, or a client that lost an answer
    EXPIRED = "expired"
    UNKNOWN = "unknown"  # never issued here
    REVOKED = "revoked"  # unused, but its family is dead
    FOREIGN_CLIENT = "foreign_client"  # issued to another client


GRANTS = frozenset({Verdict.ROTATED, Verdict.REGRANTED, Verdict.KEPT})
"""The verdicts that are answered with tokens."""


class Dialect(StrEnum):
    """Releases of Ory Hydra that differ in how they refuse."""

    HYDRA_1_0 = "hydra-1.0"  # used, expired, unknown: 400 invalid_request; the chain lives on
    HYDRA_1_4 = "hydra-1.4"  # used: 400 invalid_grant, the chain lives on; expired: 400 invalid_request
    HYDRA_1_10 = "hydra-1.10"  # used: 401 token_inactive, chain revoked; expired: 400 invalid_request (until 2022)
    HYDRA_2_3 = "hydra-2.3"  # used: 400 invalid_grant with a hint, chain revoked; expired: 400 invalid_grant


def revokes_chain(dialect: Dialect) -> bool:
    """Whether a used refresh token that is presented again ends its whole family."""
    return dialect in (Dialect.HYDRA_1_10, Dialect.HYDRA_2_3)


@cache
def refuse(dialect: Dialect, verdict: Verdict) -> Reply:
    """The refusal of a presentation that reached the grant check. Raises ValueError for a verdict that grants."""
    match verdict:
        case Verdict.REUSED:
            return _refuse_used(dialect)
        case Verdict.EXPIRED:
            modern = dialect is Dialect.HYDRA_2_3
            return _worded(dialect, "invalid_grant" if modern else "invalid_request", hint="Token expired.")
        case Verdict.UNKNOWN:
            return _worded(dialect, _absent(dialect), hint="The refresh token has not been found.")
        case Verdict.REVOKED:
            inactive = dialect is Dialect.HYDRA_1_10
            return _worded(dialect, "token_inactive" if inactive else _absent(dialect))
        case Verdict.FOREIGN_CLIENT:
            hint = "The OAuth 2.0 Client ID from this request does not match the ID during the initial token issuance."
            return _worded(dialect, _absent(dialect), hint=hint)
        case Verdict.ROTATED | Verdict.REGRANTED | Verdict.KEPT:
            raise ValueError(f"{verdict} is no refusal")
        case _:
            assert_never(verdict)


@cache
def refuse_client(dialect: Dialect) -> Reply:
    """RFC 6749 §5.2 `invalid_client`: the client is unknown, or did not prove itself."""
    return _worded(dialect, "invalid_client", challenge='Basic realm="token"')


@cache
def refuse_request(dialect: Dialect, error: str, hint: str = "") -> Reply:
    """A request that never reached the grant check: malformed, another grant type, too wide a scope."""
    return _worded(dialect, error, hint=hint)


@cache
def refuse_concurrent(dialect: Dialect = Dialect.HYDRA_2_3) -> Reply:
    """Two uses in one instant: `invalid_request` with a hint. A ledger judges one at a time, so only a fault says this."""
    hint = "Failed to refresh token because of multiple concurrent requests using the same token which is not allowed."
    return _worded(dialect, "invalid_request", hint=hint)


def _refuse_used(dialect: Dialect) -> Reply:
    match dialect:
        case Dialect.HYDRA_1_0:
            return _worded(dialect, "invalid_request")
        case Dialect.HYDRA_1_4:
            return _worded(dialect, "invalid_grant")
        case Dialect.HYDRA_1_10:
            return _worded(dialect, "token_inactive", hint="Token validation failed.")
        case Dialect.HYDRA_2_3:
            return _worded(dialect, "invalid_grant", hint="The refresh token was already used.")
        case _:
            assert_never(dialect)


def _absent(dialect: Dialect) -> str:
    """A row that is not there was a malformed request at first, a bad grant later."""
    return "invalid_request" if dialect is Dialect.HYDRA_1_0 else "invalid_grant"


def _worded(dialect: Dialect, error: str, *, hint: str = "", challenge: str = "") -> Reply:
    """Releases before 2.0 gave the hint a field of its own and repeated the status; later ones append it to the text."""
    status = 401 if error in ("token_inactive", "invalid_client") else 400
    body: dict[str, object] = {"error": error, "error_description": _DESCRIPTIONS[error]}
    if dialect is not Dialect.HYDRA_2_3:
        body |= {"error_hint": hint, "status_code": status} if hint else {"status_code": status}
    elif hint:
        body["error_description"] = f"{_DESCRIPTIONS[error]} {hint}"
    headers = {**JSON_HEADERS, "www-authenticate": challenge} if challenge else JSON_HEADERS
    return Reply(status=status, body=orjson.dumps(body), headers=headers)


_DESCRIPTIONS = {
    "invalid_client": "Client authentication failed (e.g., unknown client, no client authentication included, or "
    "unsupported authentication method).",
    "invalid_grant": "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh "
    "token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was "
    "issued to another client.",
    "invalid_request": "The request is missing a required parameter, includes an invalid parameter value, includes a "
    "parameter more than once, or is otherwise malformed.",
    "invalid_scope": "The requested scope is invalid, unknown, or malformed.",
    "token_inactive": "Token is inactive because it is malformed, expired or otherwise invalid.",
    "unsupported_grant_type": "The authorization grant type is not supported by the authorization server.",
}
