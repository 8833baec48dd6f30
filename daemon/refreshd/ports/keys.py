"""The key ring as it changes, and the rows that have to follow it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

DAMAGED = "damaged"
"""Stands for the key of a ciphertext that names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What the ring says by now. `fault`: why a changed ring was not taken up; the keys that we have go on."""

    first: str
    fault: str = ""


class KeyRing(Protocol):
    @property
    def key_ids(self) -> Sequence[str]:
        """All keys that open, as the file has them now, and those of a ring that was replaced meanwhile."""
        ...

    def look(self) -> Looked:
        """Load what the ring gained. Cheap when it did not change; seals with the same key as before until told otherwise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """The key that seals now. `lacking`: living daemons without the key that was to be taken up, which is put off for them."""

    key_id: str
    lacking: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a pass over the rows came: which table, and behind which of its rows."""

    place: int = 0
    after: str | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Ciphertexts sealed anew, those that somebody else had written meanwhile, those that no key opens; `rest` None: the end."""

    moved: int
    outrun: int
    unreadable: int
    rest: Cursor | None


class SealedRows(Protocol):
    """All raise `StoreUnavailable`."""

    async def take_up(self, key_id: str) -> Sealing:
        """Seal with this key of the ring from now on, and let the store know; once every daemon that lives has it.

        Until then with the one that the others seal with, if the ring has it.
        """
        ...

    async def release(self) -> int:
        """Credentials that were held because a key was missing, and that can be read by now, are due again."""
        ...

    async def reseal(self, begin: Cursor, *, limit: int) -> Batch:
        """Seal the next rows that rest under another key anew; compare-and-set, so that whatever is written meanwhile stays."""
        ...

    async def rows_by_key(self) -> Mapping[str, int]:
        """Counts over all rows."""
        ...
