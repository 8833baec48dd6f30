"""AES-256-GCM at rest with a key ring: one primary key seals, every key opens.

A ciphertext is `version (1 byte) | key id (8 bytes) | nonce (12 bytes) | ciphertext and tag`; the context is authenticated
with it, so a value cannot be moved to another row, column or environment.
"""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from refreshd.domain.refusal import Refusal
from refreshd.domain.secret import Secret
from refreshd.ports.sealer import Undecryptable

KEY_BYTES = 32
KEY_ID_BYTES = 4
_VERSION = b"\x01"
_NONCE = 12
_HEAD = 1 + 2 * KEY_ID_BYTES + _NONCE
_ENCODING = "utf-8"
_ERRORS = "surrogatepass"  # a provider's lone surrogate must survive; it is still the only refresh token


class KeyRingFault(Refusal):
    """The key ring cannot be used; the text says what to do and holds nothing of a key."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id; the first one is the primary. `repr` shows ids only."""

    keys: Mapping[str, Secret]

    @property
    def primary(self) -> str:
        return next(iter(self.keys))


def new_key_line() -> str:
    """One line of a key ring: a random id, a colon, 32 random bytes in base64."""
    return f"{os.urandom(KEY_ID_BYTES).hex()}:{base64.b64encode(os.urandom(KEY_BYTES)).decode()}"


def parse_key_ring(text: str, *, source: str) -> KeyRing:
    """Read a key ring: a line a key, `id:base64`, first the primary; `#` starts a comment. Raises `KeyRingFault`."""
    keys: dict[str, Secret] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.split("#", 1)[0].strip()
        if not entry:
            continue
        key_id, _, encoded = entry.partition(":")
        advice = "expected <8 hex digits>:<base64 of 32 bytes>; `refreshd keys new` makes a valid key ring"
        if len(key_id) != 2 * KEY_ID_BYTES or not all(digit in "0123456789abcdef" for digit in key_id):
            raise KeyRingFault(f"{source}, line {number}: the key id is malformed; {advice}")
        try:
            length = len(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError):
            length = -1
        if length != KEY_BYTES:
            raise KeyRingFault(f"{source}, line {number}: the key is not 32 bytes of base64; {advice}")
        if key_id in keys:
            raise KeyRingFault(
                f"{source}, line {number}: the key id {key_id} stands twice; remove one of the two lines"
            )
        keys[key_id] = Secret(encoded)
    if not keys:
        raise KeyRingFault(f"{source} holds no key; `refreshd keys new` makes one")
    return KeyRing(keys)


class AesGcmSealer:
    """`Sealer` over a key ring. `seals_with`: another of its keys than the first one."""

    def __init__(self, ring: KeyRing, *, seals_with: str | None = None) -> None:
        self._ciphers = {key_id: AESGCM(base64.b64decode(key.reveal())) for key_id, key in ring.keys.items()}
        self._primary = seals_with or ring.primary
        self._head = _VERSION + self._primary.encode()

    @property
    def primary_key_id(self) -> str:
        return self._primary

    @property
    def key_ids(self) -> Sequence[str]:
        return tuple(self._ciphers)

    def seal(self, plain: Secret, context: str) -> bytes:
        nonce = os.urandom(_NONCE)
        text = plain.reveal().encode(_ENCODING, _ERRORS)
        return self._head + nonce + self._ciphers[self._primary].encrypt(nonce, text, context.encode())

    def open(self, blob: bytes, context: str) -> Secret:
        if len(blob) < _HEAD or blob[:1] != _VERSION:
            raise Undecryptable("not a ciphertext of ours")
        key_id = key_id_of(blob)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise Undecryptable("sealed with a key that is not in the key ring")
        try:
            text = cipher.decrypt(blob[_HEAD - _NONCE : _HEAD], blob[_HEAD:], context.encode())
        except InvalidTag:
            raise Undecryptable("damaged, moved, or sealed for another environment") from None
        return Secret(text.decode(_ENCODING, _ERRORS))


def key_id_of(blob: bytes) -> str:
    """The id of the key that sealed it, as it says itself."""
    return blob[1 : _HEAD - _NONCE].decode("ascii", "replace")
