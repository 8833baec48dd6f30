"""What happened to the keys that seal what is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTakenUp:
    """The ring's first key is another one by now: it seals from here on, and all rows are moved to it."""

    name: ClassVar[str] = "keys.taken_up"
    level: ClassVar[str] = "info"
    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWaits:
    """The ring's first key is not taken up yet: so many other daemons on this store do not have it."""

    name: ClassVar[str] = "keys.waits_for_replicas"
    level: ClassVar[str] = "warning"
    key_id: str
    lacking: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysMissing:
    """Rows rest under keys that are not in this ring. They are passed over here, untouched, until it has them."""

    name: ClassVar[str] = "keys.missing"
    level: ClassVar[str] = "error"
    rows_by_key: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingKeysCounted:
    """The same as a number, also when it is 0."""

    name: ClassVar[str] = "keys.missing_counted"
    level: ClassVar[str] = "none"
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldsReleased:
    """So many credentials were held as undecryptable and can be read by now."""

    name: ClassVar[str] = "keys.holds_released"
    level: ClassVar[str] = "info"
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRingRefused:
    """The ring's file changed into something that is not taken up; the keys that we have go on."""

    name: ClassVar[str] = "keys.ring_refused"
    level: ClassVar[str] = "error"
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsResealed:
    """All that could be moved rests under the key by now. `outrun`: ciphertexts that something newer replaced meanwhile."""

    name: ClassVar[str] = "keys.resealed"
    level: ClassVar[str] = "info"
    key_id: str
    moved: int
    outrun: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsUnreadable:
    """Ciphertexts that no key of the ring opens. They stay as they are."""

    name: ClassVar[str] = "keys.rows_unreadable"
    level: ClassVar[str] = "error"
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRowsCounted:
    """Rows by the key that sealed them; every key that we hold is named."""

    name: ClassVar[str] = "keys.rows_counted"
    level: ClassVar[str] = "none"
    rows_by_key: Mapping[str, int]
