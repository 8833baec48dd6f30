"""What a live check found out about one client: an outcome of a request that could spend nothing, in words for a person.

A made-up refresh token is presented. A provider that knows the client refuses the token, one that does not refuses the
client (RFC 6749 §5.2). Since some refuse everything alike, the answer is compared with that to a request that must be wrong.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from refreshd.domain.client import Client, GrantType
from refreshd.domain.outcome import Deferred, Misconfigured, Outcome, Refreshed, Rejected, Uncertain, label
from refreshd.domain.token_response import DEFERRALS

_NOT_OAUTH = frozenset({"unreadable_success", "truncated_success", "oversized_success", "no_usable_token"})


class Verdict(StrEnum):
    """What `check --live` says of a client, in its own words."""

    OK = "ok"
    WRONG = "wrong"
    UNREACHABLE = "unreachable"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`mend`: the path in the configuration, if something there is to be changed."""

    client: str
    verdict: Verdict
    text: str
    mend: str | None = None

    @property
    def is_fault(self) -> bool:
        return self.verdict in (Verdict.WRONG, Verdict.UNREACHABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`control`: what a request came to that differs from the first in a secret, or an id, that cannot be right.

    `id_known`: whether the authorization endpoint tells this id from made-up ones; None if that could not be found out.
    `discovered`: the address of the token endpoint is the issuer's, not the configuration's.
    """

    outcome: Outcome
    control: Outcome | None = None
    id_known: bool | None = None
    discovered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """How an authorization endpoint reacts to a client id, with that id taken out of it. `place`: the answer without its text."""

    place: str
    text: str


def needs_control(outcome: Outcome) -> bool:
    """Whether the answer alone proves nothing: it may be what everybody gets."""
    return isinstance(outcome, Rejected)


def needs_id(outcome: Outcome) -> bool:
    """Whether the client was refused without a word on what is wrong: id or secret (RFC 6749 §5.2 has one code for both)."""
    return isinstance(outcome, Misconfigured) and outcome.code == "invalid_client"


def tells_apart(ours: Reaction, made_up: Reaction, other_made_up: Reaction) -> bool | None:
    """Whether our id is treated unlike two made-up ones. None: those two are not treated alike either."""
    if made_up.place == other_made_up.place != ours.place:
        return True
    if made_up != other_made_up:  # pages that never look the same twice
        return None
    return ours != made_up


def judge(client: Client, evidence: Evidence) -> Finding:
    """What was found out about a client at its token endpoint."""
    path = f"clients.{client.name}"
    url = f"{path}.issuer" if evidence.discovered else f"{path}.token_endpoint"
    outcome = evidence.outcome
    match outcome:
        case Refreshed():
            found = _granted(client)
        case Rejected():
            found = _refused(client, outcome, evidence.control)
        case Misconfigured(code="invalid_client"):
            found = _unproven(client, outcome, id_known=evidence.id_known)
        case Misconfigured():
            found = _misconfigured(client, outcome, url)
        case Deferred():
            found = _unreachable(client, outcome)
        case Uncertain():
            found = _unanswered(client, outcome, url)
        case _:
            assert_never(outcome)
    return replace(found, client=client.name)


def judge_discovery(client: Client, issuer: str, outcome: Deferred | Misconfigured) -> Finding:
    """Why the metadata of a client's provider could not be had."""
    path = f"clients.{client.name}"
    if outcome.code == "certificate":
        return replace(_certificate(path, outcome), client=client.name)
    said = outcome.detail or outcome.code
    if isinstance(outcome, Deferred):
        text = f"the metadata of {issuer} cannot be had: {said}"
        return Finding(client=client.name, verdict=Verdict.UNREACHABLE, text=text, mend=f"{path}.issuer")
    text = f"the metadata of {issuer} cannot be used: {said}"
    return Finding(client=client.name, verdict=Verdict.WRONG, text=text, mend=f"{path}.issuer")


def _granted(client: Client) -> Finding:
    if client.grant is GrantType.CLIENT_CREDENTIALS:
        return _ok("id and secret are right: the provider gave a token")
    text = "the provider gave tokens for a refresh token that we made up: this is not a token endpoint to be trusted"
    return _wrong(text, f"clients.{client.name}.token_endpoint")


def _refused(client: Client, outcome: Rejected, control: Outcome | None) -> Finding:
    if client.grant is GrantType.CLIENT_CREDENTIALS:
        text = f"the provider gives this client no token by client_credentials: {outcome.detail or outcome.code}"
        scope = outcome.code in ("invalid_scope", "scope_not_granted")
        return _wrong(text, f"clients.{client.name}.{'scope' if scope else 'grant'}")
    what, other = (
        ("client id", "a made-up id") if client.client_secret is None else ("id and secret", "a made-up secret")
    )
    if not isinstance(control, Rejected | Misconfigured):
        return _unknown(f"the provider refuses a made-up refresh token ({outcome.code}), and did not answer {other}")
    if label(control) == label(outcome) and control.code == outcome.code:
        return _unknown(f"the provider answers {other} just as it answers this client ({outcome.code})")
    return _ok(f"{what} {'is' if client.client_secret is None else 'are'} right: only the made-up token is refused")


def _unproven(client: Client, outcome: Misconfigured, *, id_known: bool | None) -> Finding:
    path, secret = f"clients.{client.name}", client.client_secret
    if id_known is False:
        text = "the provider does not know the client id: it treats it as it treats made-up ones"
        return _wrong(text, f"{path}.client_id")
    if id_known and secret is not None:
        text = "the provider knows the client id, but refuses the secret, or the way in which it is sent (client_auth)"
        return _wrong(text, f"{path}.client_secret")
    if id_known:
        return _wrong("the provider knows the client id, but wants a secret of it", f"{path}.client_secret")
    what = "the client id" if secret is None else "the client id or its secret"
    text = f"the provider refuses {what} and does not say more: {outcome.detail or outcome.code}"
    return _wrong(text, f"{path}.client_id" if secret is None else f"{path}.client_id, {path}.client_secret")


def _misconfigured(client: Client, outcome: Misconfigured, url: str) -> Finding:
    path, said = f"clients.{client.name}", outcome.detail or outcome.code
    match outcome.code:
        case "certificate":
            return _certificate(path, outcome)
        case "unauthorized_client" | "unsupported_grant_type":
            text = (
                f"the provider does not allow the grant {client.grant} here; allow it there, or change the key: {said}"
            )
            return _wrong(text, f"{path}.grant")
        case "proxy_refused":
            return _wrong(f"the proxy refuses to connect: {said}", f"{path}.proxy")
        case "invalid_url":
            return _wrong("the address of the token endpoint cannot be used", url)
        case code:
            status = code.removeprefix("http_")
            if status.startswith("3"):
                text = (
                    f"the token endpoint redirects elsewhere ({status}), which is never followed: it is another address"
                )
            else:
                text = f"there is no token endpoint at this address: it answers {status}"
            return _wrong(text, url)


def _certificate(path: str, outcome: Deferred | Misconfigured) -> Finding:
    text = f"the provider's certificate cannot be trusted: {outcome.detail or 'it is not valid'}"
    return _wrong(text, f"{path}.ca_file")


def _unreachable(client: Client, outcome: Deferred) -> Finding:
    if outcome.code.startswith("http_") or outcome.code in DEFERRALS:
        return _away(f"the provider wants to be asked later ({outcome.code})")
    if outcome.code == "proxy_unavailable":
        return _away(f"the proxy cannot reach the provider: {outcome.detail}", f"clients.{client.name}.proxy")
    if outcome.code == "connect_deadline":
        return _away("no connection to the provider came about in time: is it reachable from here?")
    return _away(f"the provider cannot be reached: {outcome.detail or outcome.code}")


def _unanswered(client: Client, outcome: Uncertain, url: str) -> Finding:
    if outcome.code in _NOT_OAUTH:
        return _wrong("this is no token endpoint: it answers with success and without a token", url)
    if outcome.code.startswith("http_5") or outcome.code == "server_error":
        return _away(f"the provider fails at the moment ({outcome.code}); try again")
    if outcome.code == "deadline":
        return _away(f"the provider did not answer within {client.request_timeout.total_seconds():g} s")
    return _away(f"the provider broke the connection off without an answer ({outcome.code})")


def _ok(text: str) -> Finding:
    return Finding(client="", verdict=Verdict.OK, text=text)


def _wrong(text: str, mend: str) -> Finding:
    return Finding(client="", verdict=Verdict.WRONG, text=text, mend=mend)


def _unknown(text: str) -> Finding:
    return Finding(client="", verdict=Verdict.UNKNOWN, text=text)


def _away(text: str, mend: str | None = None) -> Finding:
    return Finding(client="", verdict=Verdict.UNREACHABLE, text=text, mend=mend)
