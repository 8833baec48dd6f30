"""What a reader remembers: the last look at each credential, and what it has asked for. Bounded, for any number of credentials."""

from datetime import timedelta

from refreshd_client.keys import REQUESTS_CAP, Keys
from refreshd_client.looking import Command, Entry
from refreshd_client.rule import WAIT

LONGEST = 1.0
"""Seconds for which a look may be used: a token that was replaced must not be served for longer."""
AT_MOST = 10_000


class Memory:
    """Plain dictionaries: one operation each, so threads need no lock for them."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._asked: dict[str, tuple[int, float]] = {}

    def keep(self, credential_id: str, entry: Entry) -> None:
        if len(self.entries) >= AT_MOST:
            self.entries = {}
        self.entries[credential_id] = entry

    def first_request(self, credential_id: str, generation: int, now: float) -> bool:
        """Whether nobody here has asked for that lately: of any number of threads that wait, one asks."""
        known = self._asked.get(credential_id)
        if known is not None and known[0] == generation and now - known[1] < WAIT:
            return False
        if len(self._asked) >= AT_MOST:
            self._asked = {}
        self._asked[credential_id] = (generation, now)
        return True


def request(keys: Keys, credential_id: str, generation: int) -> Command:
    """The command that leaves a request. The stream is capped by those who write to it."""
    cap = ("MAXLEN", "~", str(REQUESTS_CAP))
    return ("XADD", keys.requests, *cap, "*", "id", credential_id, "generation", str(generation))


def in_seconds(length: timedelta | float, name: str) -> float:
    """Raises `ValueError` for a negative length, and for none."""
    found = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if not found >= 0:
        raise ValueError(f"{name} must not be negative")
    return found


def checked_max_age(length: timedelta | float) -> float:
    """Raises `ValueError`."""
    found = in_seconds(length, "max_age")
    if found > LONGEST:
        raise ValueError(f"max_age must be at most {LONGEST:g} s: a token that was replaced is no good")
    return found


def checked_id(credential_id: str) -> str:
    """Raises `TypeError`: bytes would be looked for under another key."""
    if not isinstance(credential_id, str):
        raise TypeError("a credential's id is a str")
    return credential_id
