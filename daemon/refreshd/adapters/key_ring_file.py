"""The key ring's file while we run: read again when it has changed. What a ring is stands in `aesgcm_sealer`."""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path

from refreshd.adapters.aesgcm_sealer import AesGcmSealer, KeyRing, KeyRingFault, key_id_of, parse_key_ring
from refreshd.domain.secret import Secret
from refreshd.ports.keys import Looked

_Signature = tuple[int, ...] | None


class KeyRingFile:
    """`Sealer` and `KeyRing` on one file.

    A changed file is taken up if it still holds the key that seals: a ring is changed by adding keys above and taking away
    below. Keys that it lost go on opening until we end, so that a key taken away too early costs nothing while we run.
    """

    def __init__(self, path: Path) -> None:
        """Raises `KeyRingFault`."""
        self._path = path
        self._lock = threading.Lock()
        self._seen = _signature(path)  # before it is read: a change in between is found at the next look
        self._ring = read_key_ring(path)
        self._first = self._ring.primary
        self._fault = ""
        self._sealer = AesGcmSealer(self._ring)

    @property
    def primary_key_id(self) -> str:
        return self._sealer.primary_key_id

    @property
    def key_ids(self) -> Sequence[str]:
        self.look()  # a command seals at once with a key that it has put there
        return tuple(self._ring.keys)

    def seal(self, plain: Secret, context: str) -> bytes:
        return self._sealer.seal(plain, context)

    def open(self, blob: bytes, context: str) -> Secret:
        """Raises `Undecryptable`. A key that we do not know may be in the file by now: a command seals with it at once."""
        if key_id_of(blob) not in self._ring.keys:
            self.look()
        return self._sealer.open(blob, context)

    def seal_with(self, key_id: str) -> None:
        with self._lock:
            self._sealer = AesGcmSealer(self._ring, seals_with=key_id)

    def look(self) -> Looked:
        with self._lock:
            signature = _signature(self._path)
            if signature != self._seen:
                self._seen = signature
                self._take_in()
            return Looked(first=self._first, fault=self._fault)

    def _take_in(self) -> None:
        try:
            found = read_key_ring(self._path)
            self._check(found)
        except KeyRingFault as exc:
            self._fault = str(exc)
            return
        self._fault = ""
        self._first = found.primary
        self._ring = KeyRing({**found.keys, **self._ring.keys})
        self._sealer = AesGcmSealer(self._ring, seals_with=self._sealer.primary_key_id)

    def _check(self, found: KeyRing) -> None:
        """Raises `KeyRingFault` for a ring that is not ours any more."""
        if self._sealer.primary_key_id not in found.keys:
            raise KeyRingFault(
                f"the key ring {self._path} no longer holds the key {self._sealer.primary_key_id}, which is in use; "
                "put it back below the new one"
            )
        for key_id, key in found.keys.items():
            if self._ring.keys.get(key_id, key) != key:
                raise KeyRingFault(f"the key {key_id} in {self._path} has other bytes than before; put them back")


def read_key_ring(path: Path) -> KeyRing:
    """Raises `KeyRingFault`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise KeyRingFault(f"there is no key ring at {path}; `refreshd keys new {path}` makes one") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise KeyRingFault(f"the key ring {path} cannot be read: {exc}") from exc
    return parse_key_ring(text, source=str(path))


def _signature(path: Path) -> _Signature:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return None
