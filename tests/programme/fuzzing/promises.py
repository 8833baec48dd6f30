"""The promises, each checked on what the product made of one answer. Texts come back, one for each promise that was broken."""

import html
import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, unquote_plus

from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.structlog_observer import _fields, _json, redact
from refreshd.domain.credential import Credential, Health, Reason
from refreshd.domain.outcome import Deferred, GrantedAccess, Misconfigured, Outcome, Refreshed, Rejected, Uncertain
from refreshd.domain.transition import Transition
from refreshd.ports.store import Attempt
from tests.programme.fuzzing import judge as j
from tests.programme.fuzzing.bodies import Planted, basic
from tests.programme.fuzzing.judge import Reading
from tests.programme.fuzzing.states import ENOUGH, NOW

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL takes no NUL, and nothing that is no UTF-8
_CODE = re.compile(r"[a-z0-9_]{1,40}")
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # ends a line, or commands a terminal
_LONGEST_DETAIL = 256
_LEAST_SECRET = 8
_DAY = timedelta(days=1)


def kind(outcome: Outcome) -> str:
    """The outcome's name in the judge's words."""
    match outcome:
        case Refreshed():
            return j.REFRESHED
        case Deferred():
            return j.DEFERRED
        case Uncertain():
            return j.SHARED if outcome.shared else j.UNCERTAIN
        case Rejected():
            return f"rejected {outcome.confirmation}"
        case Misconfigured():
            return j.MISCONFIGURED


def of_outcome(reading: Reading, outcome: Outcome) -> list[str]:
    """The meaning of an answer: permitted, complete, within its bounds."""
    found = []
    if kind(outcome) not in reading.permitted:
        found.append(f"judged {kind(outcome)} ({outcome.code}), not {' or '.join(sorted(reading.permitted))}")
    if not _CODE.fullmatch(outcome.code):
        found.append(f"the code {outcome.code!r} is not one of ours")
    if isinstance(outcome, Refreshed):
        return found + _of_tokens(reading, outcome)
    if reading.keep or reading.keep_some:
        found.append(f"lost the refresh token {sorted(reading.keep)!r:.200}")
    detail = outcome.detail
    if len(detail) > _LONGEST_DETAIL or _BREAKS.search(detail):
        found.append(f"the detail {detail!r} is not fit for a log")
    if isinstance(outcome, Deferred):
        found += _of_wait(reading, outcome)
    return found


def of_construction(promised: str, reading: Reading, outcome: Outcome) -> list[str]:
    """The generator knows which refresh token it wrote last: judge and product must have found that one."""
    found = [] if promised in reading.keep else [f"the judge overlooks {promised!r:.200}"]
    token = outcome.refresh_token if isinstance(outcome, Refreshed) else None
    if token is None or token.reveal() != promised:
        found.append(f"did not keep {promised!r:.200}, which came last")
    return found


def _of_wait(reading: Reading, outcome: Deferred) -> list[str]:
    wait = outcome.retry_after
    if wait is not None and not timedelta(0) <= wait <= j.HOUR:
        return [f"waits {wait}"]
    if reading.wait is not None and wait != reading.wait:
        return [f"waits {wait}, though told {reading.wait}"]
    return []


def _of_tokens(reading: Reading, outcome: Refreshed) -> list[str]:
    kept = outcome.refresh_token.reveal() if outcome.refresh_token is not None else None
    found = []
    if kept == "":
        found.append("kept an empty refresh token")
    if (reading.keep and kept not in reading.keep) or (reading.keep_some and kept is None):
        found.append(f"kept {kept!r:.200}, not {sorted(reading.keep)!r:.200}")
    if kept is not None and not reading.keep_some and kept not in reading.may_keep:
        found.append(f"kept {kept!r:.200}, which no refresh token is")
    return found + _of_access(reading, outcome.access)


def _of_access(reading: Reading, access: GrantedAccess | None) -> list[str]:
    if access is None:
        return ["did not publish a good access token"] if reading.access is not None else []
    found = []
    value, lifetime = access.value.reveal(), access.expires_in
    if value not in reading.may_publish or (reading.access is not None and value != reading.access):
        found.append(f"published {value!r:.200}, not {reading.access!r:.200}")
    if lifetime is not None and not timedelta(seconds=1) <= lifetime <= 31 * _DAY:
        found.append(f"a lifetime of {lifetime}")
    if reading.lifetime is not None and lifetime != reading.lifetime:
        found.append(f"a lifetime of {lifetime}, not {reading.lifetime}")
    return found


def of_transition(state: str, before: Credential, reading: Reading, outcome: Outcome, made: Transition) -> list[str]:
    """The next state: no token lost, nobody condemned too early or too late, doubt kept, and always a next time."""
    after = made.after
    token = outcome.refresh_token if isinstance(outcome, Refreshed) else None
    found = []
    if made.refresh_token != token or (made.refresh_token is not None and not made.refresh_token.reveal()):
        found.append("the transition has another refresh token than the answer")
    came = isinstance(outcome, Refreshed) and made.has_tokens
    if after.generation != before.generation + came:
        found.append(f"generation {after.generation} after {before.generation}")
    condemned, was = (one.health is Health.RELOGIN_REQUIRED for one in (after, before))
    final = ENOUGH.get(state)
    if condemned and not was and (final is None or final not in reading.permitted):
        found.append("condemned without enough refusals")
    if not condemned and final is not None and kind(outcome) == final:
        found.append("not condemned by the last refusal needed")
    if was and not condemned and not came:
        found.append("healed without a token")
    if made.withdraw_access and (was or not condemned):
        found.append("withdrew a living access token")
    if condemned and not was and before.in_doubt and after.reason is not Reason.ROTATION_LOST:
        found.append(f"lost a rotation and says {after.reason}")
    found += _of_doubt(before, after, outcome, came=came)
    if after.next_attempt_at is None and not condemned:
        found.append("never asks again")
    if after.next_attempt_at is not None and after.next_attempt_at > NOW + 32 * _DAY:
        found.append(f"asks again at {after.next_attempt_at}")
    return [f"{state}: {text}" for text in found]


def _of_doubt(before: Credential, after: Credential, outcome: Outcome, *, came: bool) -> list[str]:
    match outcome:
        case Refreshed() if came:
            return ["doubts a success"] if after.in_doubt else []
        case Refreshed() | Uncertain():
            return [] if after.in_doubt else ["does not doubt"]
        case Deferred() | Misconfigured():
            return [] if after.in_doubt == before.in_doubt else ["doubt came or went without a reason"]
        case Rejected():
            return []


def of_row(codec: RowCodec, attempt: Attempt, made: Transition) -> list[str]:
    """What the store is given: sealed so that it opens again, and of a kind that every database takes."""
    values = codec.committed(attempt, made, now=NOW)
    name = attempt.credential.id
    found = []
    for column, token in (("refresh_token", made.refresh_token), ("access_token", made.access and made.access.value)):
        sealed = values[f"set_{column}"]
        if token is not None and (sealed is None or codec.open(sealed, column, name) != token):
            found.append(f"{column} is not what was sealed")
    sealed = values["set_refresh_token"]
    unchanged = made.refresh_token is None and sealed is not None
    if unchanged and codec.open(sealed, "refresh_token", name) != attempt.refresh_token:
        found.append("the old refresh token is overwritten by another")
    return found + [f"no database takes {key} {value!r:.200}" for key, value in values.items() if not _storable(value)]


def _storable(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    return not _UNSTORABLE.search(value)


def of_secrets(
    planted: Planted,
    secrets: tuple[str, ...],
    outcome: Outcome,
    made: Transition | None = None,
    *,
    damaged: bool = False,
) -> list[str]:
    """Nothing that was sent or received as a secret can be read from what is shown of it.

    `made`: look at its log line too. `damaged`: a spelling that nobody writes may stand there, so only the secret itself counts.
    """
    shown = "" if isinstance(outcome, Refreshed) else outcome.detail
    if made is not None:
        line = _json(None, "", redact(None, "", {"event": made.event.name, **_fields(made.event)}))
        shown = f"{shown} {outcome!r} {made!r} {line.decode()}"
    if not shown:
        return []
    spellings = (shown,) if damaged else (shown, unquote_plus(shown), unquote(shown), html.unescape(shown))
    hidden = (planted.presented, planted.client_secret, basic(planted), *secrets)
    return [
        f"shows the secret {secret!r} in {shown!r:.600}"
        for secret in hidden
        if len(secret) >= _LEAST_SECRET and any(secret in spelling for spelling in spellings)
    ]
