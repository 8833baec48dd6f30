"""Why there is no token. Errors of Redis itself are redis-py's own and pass through."""

from datetime import datetime
from enum import StrEnum


class Reason(StrEnum):
    """What stands in the way of a token, and so who has to act."""

    UNKNOWN_ID = "unknown_id"
    REMOVED = "removed"
    PAUSED = "paused"
    RELOGIN_REQUIRED = "relogin_required"
    HELD = "held"
    NO_LIVING_TOKEN = "no_living_token"  # noqa: S105 - a reason, no secret
    EXPIRES_SOON = "expires_soon"
    UNKNOWN_SCHEMA = "unknown_schema"


_MEANING = {
    Reason.UNKNOWN_ID: "no such credential is published; was it imported, and is the key prefix the daemon's?",
    Reason.REMOVED: "it was removed from refreshd",
    Reason.PAUSED: "an operator paused it",
    Reason.RELOGIN_REQUIRED: "a person must log in again",
    Reason.HELD: "an operator has to look at it, and its last token has expired",
    Reason.NO_LIVING_TOKEN: "the last token has expired; the daemon or the provider is away",
    Reason.EXPIRES_SOON: "its token expires sooner than min_valid allows",
    Reason.UNKNOWN_SCHEMA: "another version of refreshd wrote it; install a refreshd-client that knows its schema",
}
WAITING_HELPS = frozenset({Reason.UNKNOWN_ID, Reason.NO_LIVING_TOKEN, Reason.HELD, Reason.EXPIRES_SOON})
"""Where nobody has decided that there is no token. An id is unknown also while an emptied Redis is being filled again."""


class TokenUnavailable(Exception):  # noqa: N818 - reads as what it says
    """There is no token to use.

    `reason` is for programs. `code` is refreshd's own reason code for a credential that needs a person or an operator (such as
    `refused`), and `relogin_by` when that person was needed, or will be; both None where they are not known.
    """

    def __init__(
        self, credential_id: str, reason: Reason, code: str | None = None, relogin_by: datetime | None = None
    ) -> None:
        super().__init__(credential_id, reason, code, relogin_by)
        self.credential_id = credential_id
        self.reason = reason
        self.code = code
        self.relogin_by = relogin_by

    def __str__(self) -> str:
        code = f" ({self.code})" if self.code else ""
        return f"no token of {self.credential_id}: {_MEANING[self.reason]}{code}"
