"""The place where consumers ask for a token newer than one that was refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from refreshd.domain.requests import RefreshRequest


class RequestsUnavailable(Exception):  # noqa: N818 - reads as what it says
    """Requests cannot be read or struck off; those that were not struck off come again. The text is fit for a log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request as it was left. `request` is None when it is malformed."""

    key: str
    request: RefreshRequest | None


class Requests(Protocol):
    async def read(self, *, wait: timedelta) -> Sequence[Entry]:
        """Entries that no replica has taken yet, or that one took and died; after `wait` at the latest, then perhaps none."""
        ...

    async def strike(self, entries: Sequence[Entry]) -> None:
        """These are dealt with and come no more."""
        ...
