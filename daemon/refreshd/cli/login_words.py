"""What a login came to, in words: what happened, and what to do next. Nothing here repeats a code, a state or a token."""

from typing import assert_never

from refreshd.domain.callback import Declined, MixedUp, NotOurs, Strange
from refreshd.domain.login import (
    CodeNotRedeemed,
    Fate,
    LoggedIn,
    NoAnswer,
    NoRefreshToken,
    NotReady,
    OtherAccount,
    Silence,
    Superseded,
    TokenOwned,
)
from refreshd.domain.outcome import Deferred, Misconfigured, Rejected, Uncertain

Failure = (
    OtherAccount | NoRefreshToken | CodeNotRedeemed | TokenOwned | Superseded | Declined | MixedUp | NoAnswer | NotReady
)

_IGNORED = {
    Strange.STATE_MISSING: "a callback without a state was refused: it belongs to no login of ours",
    Strange.STATE_FOREIGN: "a callback with another login's state was refused: an old tab, or somebody else's doing",
    Strange.DUPLICATED: "a callback that names a parameter twice was refused: no honest provider sends that",
    Strange.NOTHING: "a callback with neither a code nor an error was refused",
    Strange.UNREADABLE: "a callback that cannot be read was refused",
    Strange.ELSEWHERE: "a callback to another address was refused",
    Strange.POSTED: "a callback by POST was refused: take response_mode=form_post out of authorization_parameters, if it is there",
}
_PASTED = {
    Strange.STATE_MISSING: "that address has no state: copy the whole of it from the browser's address bar",
    Strange.STATE_FOREIGN: "that address answers another login: use the address shown above, and paste where that one leads",
    Strange.DUPLICATED: "that address names a parameter twice: copy it once, and whole",
    Strange.NOTHING: "that address holds neither a code nor an error: paste the one that the browser shows after you logged in",
    Strange.UNREADABLE: "that is neither an address nor a code",
    Strange.ELSEWHERE: "that is not the address that the provider sends the browser to",
    Strange.POSTED: "that was not visited but sent",
}
_DECLINED = {
    "access_denied": "the person, or an administrator, did not give consent; log in again and allow the access",
    "account_selection_required": "the provider could not tell which account; log in again and choose one",
    "consent_required": "the provider wants to ask for consent first; log in again, or write "
    'authorization_parameters = ["prompt=consent"]',
    "interaction_required": "the provider wants to ask something first; log in again without a prompt=none in "
    "authorization_parameters",
    "invalid_request": "the provider did not understand the request; compare redirect_uri and authorization_parameters "
    "with the registration there",
    "invalid_scope": "the provider does not give this scope to this client; compare scope with the registration there",
    "login_required": "the provider wants a login first; log in there and begin again",
    "server_error": "the provider failed; try again later",
    "temporarily_unavailable": "the provider is busy or being mended; try again later",
    "unauthorized_client": "this client may not log people in; allow the authorization code grant in its registration there",
    "unsupported_response_type": "the provider does not do the authorization code flow here; check authorization_endpoint",
}
_SILENT = {
    Silence.INTERRUPTED: "interrupted; nothing was stored",
    Silence.END_OF_INPUT: "the input ended before an address or a code came; nothing was stored",
    Silence.TOO_MANY_TRIES: "nothing that was pasted was the answer; nothing was stored. Begin again with a fresh address",
}


def ignored(refused: NotOurs, *, pasted: bool) -> str:
    if pasted:
        return f"{_PASTED[refused.cause]}. Paste again:"
    return f"{_IGNORED[refused.cause]}. The login goes on waiting"


def failure(result: Failure, *, command: str, redirect_uri: str, patience: str) -> str:
    """`command`: what begins this login again."""
    match result:
        case Declined():
            return _declined(result)
        case MixedUp():
            said = f"by {result.found!r}" if result.found else "without saying by whom"
            return (
                f"the callback was sent {said}, not by {result.expected!r}: the code was sent nowhere. If that is the right "
                "provider, correct issuer; if not, somebody may be mixing up providers (RFC 9207)"
            )
        case NoAnswer(cause=Silence.TIMED_OUT):
            return (
                f"no answer within {patience}; nothing was stored. If the browser showed an error: register exactly "
                f"{redirect_uri} as a redirect URI at the provider, and check client_id and scope. If it runs on another "
                f"machine: {command} --no-browser. To begin again: {command}"
            )
        case NoAnswer():
            return _SILENT[result.cause]
        case NotReady():
            return (
                f"the store could not keep an answer ({result.fault}), so no code was spent; mend that, then: {command}"
            )
        case _:
            return _after_exchange(result, command)


def _after_exchange(
    result: OtherAccount | NoRefreshToken | CodeNotRedeemed | TokenOwned | Superseded, command: str
) -> str:
    match result:
        case OtherAccount():
            return (
                f"{result.id} is account {result.stored!r}, but {result.found!r} logged in; the stored login is untouched and "
                f"{_fate(result.fate)}. Log out in the browser, then: {command}. To give the id to another account: "
                f"refreshd remove {result.id} first"
            )
        case NoRefreshToken():
            named = f" (it gave the scope {result.granted!r})" if result.granted else ""
            wanted = f"the scope {result.required}" if result.required else "offline access"
            return (
                f"the provider gave no refresh token{named}: this login would end with its access token, so nothing was stored. "
                f"Allow {wanted} in the registration there and give consent; OpenID providers often want "
                f'authorization_parameters = ["prompt=consent"]. Then: {command}'
            )
        case TokenOwned():
            return (
                f"the provider handed out a refresh token that belongs to {result.owner} already; a refresh token has one "
                f"owner, so nothing was stored. Use {result.owner}, or log in as another person: {command}"
            )
        case Superseded():
            return (
                f"another command replaced, refused or removed the login of {result.id} while this one was being checked, so "
                f"this one was not stored. See what stands there: refreshd show {result.id}. To log in all the same: {command}"
            )
        case CodeNotRedeemed():
            return _not_redeemed(result, command)
        case _:
            assert_never(result)


def _declined(result: Declined) -> str:
    advice = _DECLINED.get(result.error, "that is no error of RFC 6749; ask the provider what it means")
    said = f": {result.description}" if result.description else ""
    return f"the provider answered {result.error}{said}. Nothing was stored: {advice}"


def _not_redeemed(result: CodeNotRedeemed, command: str) -> str:
    outcome = result.outcome
    detail = f": {outcome.detail}" if outcome.detail else ""
    what = f"the token endpoint gave no token ({outcome.code}{detail}), so nothing was stored. "
    match outcome:
        case Rejected():
            return what + f"The code was spent, too old, or meant for another client or redirect_uri. Again: {command}"
        case Misconfigured():
            return what + f"Check token_endpoint, client_id, client_secret and client_auth, then: {command}"
        case Deferred():
            return what + f"It could not be reached or is busy; the code was not processed. Later: {command}"
        case Uncertain():
            return what + f"The code may be spent, and works once. Again: {command}"
        case _:
            assert_never(outcome)


def _fate(fate: Fate) -> str:
    match fate:
        case Fate.QUEUED:
            return "the daemon revokes the new tokens"
        case Fate.NO_ENDPOINT:
            return "the new tokens were dropped (the provider names no revocation_endpoint)"
        case Fate.SHARED:
            return "the new tokens were dropped, not revoked: another credential has that account, and revoking might end it"
        case _:
            assert_never(fate)


def notes(result: LoggedIn) -> list[str]:
    """What the person should know of a login that is stored."""
    found = []
    if result.resumed:
        found.append(
            "an earlier login was interrupted after its tokens were stored; it was finished now, nobody has to log in"
        )
    if result.elsewhere:
        found.append("another `refreshd login` of this id had stored this login already; it was left as it is")
    if result.unknown is not None:
        found.append(f"whose account this is could not be found out: {result.unknown}")
    if result.missing:
        found.append(f"the provider left out the scope {' '.join(result.missing)}; the login may end early")
    if result.paused:
        found.append(f"{result.id} stays paused; to publish its token: refreshd resume {result.id}")
    return found
