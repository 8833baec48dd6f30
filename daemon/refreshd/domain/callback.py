"""What a redirect back from the provider means (RFC 6749 §4.1.2, RFC 9207). Never raises, never repeats what it was given.

Only who knows our `state` can end a login. All else is `NotOurs`: it is refused, and the login goes on waiting.
"""

import hmac
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

from refreshd.domain.authorization import AuthorizationCode, AuthorizationRequest
from refreshd.domain.secret import Secret

_MOST_PARAMETERS = 64
_LONGEST = 32 * 1024
_LONGEST_TEXT = 200
_CODE = re.compile(r"[\x20-\x7e]{1,8192}")  # RFC 6749 appendix A.11
_BARE_CODE = re.compile(r"[\x21-\x7e]{16,8192}")  # shorter than any code that keeps to RFC 6749 §10.10
_ERROR_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_QUERY = re.compile(r"(^|&)(code|error|state)=")


class Strange(StrEnum):
    """Why something that arrived is not the answer to our request."""

    STATE_MISSING = "state_missing"
    STATE_FOREIGN = "state_foreign"
    DUPLICATED = "duplicated"
    NOTHING = "nothing"
    UNREADABLE = "unreadable"
    ELSEWHERE = "elsewhere"
    POSTED = "posted"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotOurs:
    """Refused; the login goes on waiting."""

    cause: Strange


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The provider, or the person there, said no: this login is over. `description` is fit for a terminal."""

    error: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedUp:
    """With our state, but from another issuer than asked (RFC 9207 §2.4), or from one that does not say. No code is sent there."""

    expected: str
    found: str | None


Callback = AuthorizationCode | Declined | MixedUp | NotOurs


def read_callback(query: str, request: AuthorizationRequest) -> Callback:
    """Read the query of a redirect to our address."""
    found = _parameters(query)
    if found is None:
        return NotOurs(cause=Strange.UNREADABLE)
    fields = dict(found)
    if len(fields) < len(found):
        return NotOurs(cause=Strange.DUPLICATED)  # RFC 6749 §3.1
    if "state" not in fields:
        return NotOurs(cause=Strange.STATE_MISSING)
    given = fields["state"].encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(given, request.state.encode()):
        return NotOurs(cause=Strange.STATE_FOREIGN)
    if mixed_up := _issuer_fault(fields.get("iss"), request):
        return mixed_up
    if error := fields.get("error"):
        return Declined(error=_error(error), description=_legible(fields.get("error_description", "")))
    return _code(fields.get("code", ""), request)


def read_pasted(text: str, request: AuthorizationRequest) -> Callback:
    """Read what a person pasted: the address that the browser was sent to, its query, or the code alone.

    A code alone carries no state. It is taken because the same person pastes it who began this login; PKCE still binds it.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return NotOurs(cause=Strange.UNREADABLE)
    address, asked, rest = text.partition("?")
    if "://" in text:
        if not _same_place(address, request.redirect_uri):
            return NotOurs(cause=Strange.ELSEWHERE)
        return read_callback(rest.partition("#")[0], request) if asked else NotOurs(cause=Strange.NOTHING)
    query = rest if asked else text
    if _QUERY.search(query):
        return read_callback(query.partition("#")[0], request)
    return _code(text, request) if _BARE_CODE.fullmatch(text) else NotOurs(cause=Strange.UNREADABLE)


def _parameters(query: str) -> list[tuple[str, str]] | None:
    if len(query) > _LONGEST:
        return None
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="strict")
    except ValueError:  # too many, or bytes that are not UTF-8
        return None


def _issuer_fault(found: str | None, request: AuthorizationRequest) -> MixedUp | None:
    """RFC 9207 §2.4: compared as a string, without any normalisation."""
    if request.issuer is None or found == request.issuer or (found is None and not request.iss_required):
        return None
    return MixedUp(expected=request.issuer, found=None if found is None else _legible(found))


def _code(code: str, request: AuthorizationRequest) -> AuthorizationCode | NotOurs:
    if not _CODE.fullmatch(code):
        return NotOurs(cause=Strange.NOTHING)
    return AuthorizationCode(code=Secret(code), verifier=request.verifier, redirect_uri=request.redirect_uri)


def _same_place(address: str, redirect_uri: str) -> bool:
    try:
        given, ours = urlsplit(address), urlsplit(redirect_uri)
    except ValueError:
        return False
    return (given.scheme, given.netloc.lower(), given.path) == (ours.scheme, ours.netloc.lower(), ours.path)


def _error(code: str) -> str:
    return code if _ERROR_CODE.fullmatch(code) else "unreadable_error"


def _legible(text: str) -> str:
    """On one line, in characters that do nothing to a terminal, and short."""
    return re.sub(r"[^\x20-\x7e]+", " ", text)[:_LONGEST_TEXT].strip()
