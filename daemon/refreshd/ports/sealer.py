"""Encryption at rest."""

from collections.abc import Sequence
from typing import Protocol

from refreshd.domain.secret import Secret


class Undecryptable(Exception):  # noqa: N818 - reads as what it says
    """This ciphertext cannot be opened with the keys at hand, or was moved or damaged."""


class Sealer(Protocol):
    @property
    def primary_key_id(self) -> str:
        """The id of the key that `seal` uses."""
        ...

    @property
    def key_ids(self) -> Sequence[str]:
        """All keys that open, as the ring has them now."""
        ...

    def seal(self, plain: Secret, context: str) -> bytes:
        """Encrypt; `context` (environment, column, row id) must be given again to open."""
        ...

    def open(self, blob: bytes, context: str) -> Secret:
        """Decrypt. Raises `Undecryptable`."""
        ...


class SelectableSealer(Sealer, Protocol):
    def seal_with(self, key_id: str) -> None:
        """Use this key of the ring in `seal` from now on."""
        ...
