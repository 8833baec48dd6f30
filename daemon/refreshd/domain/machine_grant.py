"""Credentials of a client itself (RFC 6749 §4.4): no login stands behind them, so there is none to lose.

The state machine stays the one in `settle`; only what an outcome proves is another: every request may be repeated, and
whatever is refused, it is the client that is refused, never a person's login.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from refreshd.domain.grant import Grant, GrantRefused, read_names
from refreshd.domain.outcome import Deferred, Misconfigured, Outcome, Refreshed, Rejected, Uncertain


def without_login(outcome: Outcome) -> Outcome:
    """What an outcome means where no refresh token was presented: never doubt, never a rejection of the credential."""
    match outcome:
        case Refreshed(access=None):
            return Deferred(code=outcome.code)
        case Refreshed():
            return replace(outcome, refresh_token=None)  # RFC 6749 §4.4.3: there should be none
        case Uncertain():
            return Deferred(code=outcome.code, detail=outcome.detail, phase=outcome.phase)
        case Rejected():
            return Misconfigured(code=outcome.code, detail=outcome.detail)
        case Deferred() | Misconfigured():
            return outcome
        case _:
            assert_never(outcome)


def read_machine_grant(fields: Mapping[str, object], *, credential_id: str | None, client: str | None) -> Grant:
    """Read one entry of a client that logs in by itself: an id and the client. Raises `GrantRefused`."""
    name, registration = read_names(fields, credential_id=credential_id, client=client)
    found = [key for key in ("refresh_token", "access_token", "scope") if fields.get(key) is not None]
    if found:
        raise GrantRefused(
            f"client {registration!r} has the grant client_credentials: its tokens are asked for with its own secret and "
            f"the configured scope; leave out {', '.join(found)}, give id and client only"
        )
    return Grant(id=name, client=registration, refresh_token=None)
