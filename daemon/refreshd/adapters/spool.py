"""A local journal of what is about to be committed elsewhere, for a database that loses commits or is away (protocol R6).

Lines go into segments that only their owner can read, one fsync for all that arrive together. A segment stays for `KEEP` after
its last line was settled. What a line means is the caller's business; it holds nothing that is not sealed.
"""

import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from refreshd.domain.refusal import Refusal

KEEP = 600.0
SPAN = 60.0
_END = ".spool"
_NO_OTHERS = 0o077


class SpoolRefused(Refusal):
    """The spool cannot be used; a person must mend that."""


@dataclass(slots=True)
class _Segment:
    path: Path
    descriptor: int
    began_at: float
    settled_at: float
    open: set[str] = field(default_factory=set)


class Spool:
    """One process's journal in a directory that others may share. `clock`: seconds that go on while the machine sleeps.

    `owner` names this process; a segment bears the name of who wrote it, and `inherited` are those whose segments all lie here now.
    Not thread-safe: everything is called on the thread that commits. Raises `OSError`, except where it says otherwise.
    """

    def __init__(self, directory: Path, *, owner: str, clock: Callable[[], float]) -> None:
        """Raises `SpoolRefused`."""
        self._directory = directory
        self._owner = owner
        self._clock = clock
        self._segments: list[_Segment] = []
        self._current: _Segment | None = None
        self.inherited: frozenset[str] = frozenset()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if directory.stat().st_mode & _NO_OTHERS:
                raise SpoolRefused(f"{directory} is open to other users; run: chmod 700 {directory}")
            self.inherited = self._take_over()
            self._writable()  # so that whoever comes after us finds our name, also when we have nothing to keep
        except OSError as exc:
            raise SpoolRefused(
                f"the spool {directory} cannot be used: {exc.strerror}; set store.spool_directory to a local directory of "
                "refreshd's own"
            ) from exc

    def append(self, lines: Mapping[str, bytes]) -> None:
        """Have these on disk when it returns, by key. A key that was appended before is not written again."""
        new = {key: line for key, line in lines.items() if not self.holds(key)}
        if not new:
            return
        segment, self._current = self._writable(), None  # what a failed write has begun is no place for a further line
        data = memoryview(b"".join(line + b"\n" for line in new.values()))
        while data:
            data = data[os.write(segment.descriptor, data) :]
        os.fsync(segment.descriptor)
        segment.open |= new.keys()
        self._current = segment

    def holds(self, key: str) -> bool:
        """Whether a line under this key is on disk and not settled yet."""
        return any(key in one.open for one in self._segments)

    def settle(self, keys: Collection[str]) -> None:
        """These are committed."""
        now = self._clock()
        for one in self._segments:
            if not one.open.isdisjoint(keys):
                one.open -= set(keys)
                one.settled_at = now

    def renew(self) -> None:
        """All that is kept counts as settled just now, if it was."""
        now = self._clock()
        for one in self._segments:
            one.settled_at = now

    def forget(self) -> None:
        """What was settled for long enough. Not while the database is away: what it lost is known when it is back."""
        now = self._clock()
        for one in [one for one in self._segments if not one.open and now - one.settled_at >= KEEP]:
            one.path.unlink(missing_ok=True)
            os.close(one.descriptor)
            self._segments.remove(one)
            if one is self._current:
                self._current = None

    def lines(self) -> Iterator[bytes]:
        """All that is kept, oldest first. The last line of a process that died may be torn."""
        for one in self._segments:
            yield from one.path.read_bytes().split(b"\n")

    def close(self) -> None:
        """Leave the segments to the next process."""
        for one in self._segments:
            os.close(one.descriptor)
        self._segments, self._current = [], None

    def _writable(self) -> _Segment:
        now = self._clock()
        if self._current is None or now - self._current.began_at >= SPAN:
            self._current = self._opened(
                self._directory / f"{self._owner}-{uuid4().hex}{_END}", os.O_CREAT | os.O_EXCL, now
            )
            directory = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        return self._current

    def _take_over(self) -> frozenset[str]:
        """What processes that are gone have left behind, except what another living one writes. Returns whose all of it was."""
        left = sorted(self._directory.glob(f"*{_END}"), key=lambda path: path.stat().st_mtime_ns)
        ours, others = set(), set()
        for path in left:
            owner = path.name.partition("-")[0]
            try:
                self._opened(path, 0, self._clock())
            except (BlockingIOError, FileNotFoundError):
                others.add(owner)
            else:
                ours.add(owner)
        return frozenset(ours - others)

    def _opened(self, path: Path, flags: int, now: float) -> _Segment:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        segment = _Segment(path, descriptor, now, now)
        self._segments.append(segment)
        return segment
