"""The authorization request of a login (RFC 6749 §4.1.1) with PKCE S256 (RFC 7636): built from random bytes handed in.

What comes back is read in `callback`. A confidential client proves itself and still sends a challenge: PKCE is what keeps a
code that was stolen, or slipped in, from being worth anything.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from refreshd.domain.secret import Secret
from refreshd.domain.token_text import scope_words

STATE_BYTES = 32
VERIFIER_BYTES = 48
RESERVED = frozenset(
    {
        "client_id",
        "client_secret",
        "code_challenge",
        "code_challenge_method",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
    }
)
"""Parameters that this module sets, or that never belong into an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginProfile:
    """What a login needs to know of one registration.

    `issuer`: who must have sent the callback, None if that is not known; `iss_required`: every callback says so (RFC 9207 §3).
    `parameters`: what this provider wants besides, such as `prompt=consent`.
    """

    authorization_endpoint: str
    client_id: str
    scope: str = ""
    issuer: str | None = None
    iss_required: bool = False
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """One login under way. The URL may be seen by anybody; the verifier never leaves the process but to the token endpoint."""

    url: str
    redirect_uri: str
    issuer: str | None
    iss_required: bool
    state: str = field(repr=False)
    verifier: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCode:
    """What is exchanged for tokens, once (RFC 6749 §4.1.3, RFC 7636 §4.5)."""

    code: Secret
    verifier: Secret
    redirect_uri: str


def authorization_request(
    profile: LoginProfile, *, redirect_uri: str, state: bytes, verifier: bytes
) -> AuthorizationRequest:
    """`state` and `verifier` are fresh random bytes, at least 32 each (RFC 7636 §4.1: 43 characters and more)."""
    if len(state) < STATE_BYTES or not STATE_BYTES <= len(verifier) <= 96:  # noqa: PLR2004 - 128 characters, its end
        raise ValueError("state and verifier need 32 random bytes each, and a verifier fits in 128 characters")
    secret = _encoded(verifier)
    mark = _encoded(state)
    query = [
        ("response_type", "code"),
        ("client_id", profile.client_id),
        ("redirect_uri", redirect_uri),
        *([("scope", profile.scope)] if profile.scope else []),
        ("state", mark),
        ("code_challenge", _encoded(hashlib.sha256(secret.encode("ascii")).digest())),
        ("code_challenge_method", "S256"),
        *profile.parameters,
    ]
    joint = "&" if urlsplit(profile.authorization_endpoint).query else "?"
    return AuthorizationRequest(
        url=profile.authorization_endpoint.rstrip("?") + joint + urlencode(query),
        redirect_uri=redirect_uri,
        issuer=profile.issuer,
        iss_required=profile.iss_required,
        state=mark,
        verifier=Secret(secret),
    )


def requested_scope(configured: str, required: str) -> str:
    """What is asked for: the configured scope, and what the provider wants before it gives a refresh token."""
    there = scope_words(configured)
    return " ".join([*configured.split(), *(word for word in required.split() if word not in there)])


def _encoded(raw: bytes) -> str:
    """base64url without padding (RFC 7636 appendix A)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
