"""A small file system of our own that can be broken and mended: full, refusing, hanging, or only locked.

Mounts need root; whatever happens to the run, they are undone, and a file system that hangs thaws by itself.
"""

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.programme.disks.plan import Trouble

_SIZE = "16M"
_BLOCK = 1024
_PAGE = 4096
_LONGEST_FREEZE = 15


class Disk:
    """A context manager: an ext4 in a file, mounted; without root a plain directory that can only be locked."""

    def __init__(self, directory: Path, *, root: bool) -> None:
        self.path = directory / "disk"
        self._image = directory / "disk.img"
        self._root = root
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, mode=0o700)
        if self._root:
            _call("truncate", "-s", _SIZE, str(self._image))
            _call("mkfs.ext4", "-q", "-m", "0", "-b", str(_BLOCK), "-O", "^has_journal", str(self._image))
            _call("mount", "-o", "loop", str(self._image), str(self.path))
            self._stack.callback(_call, "umount", "-l", str(self.path))
            self.path.chmod(0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._image.unlink(missing_ok=True)

    def broken(self, trouble: Trouble, database: Path, log: Path) -> "contextlib.AbstractContextManager[None]":
        """In trouble while entered."""
        match trouble:
            case Trouble.FULL:
                return self._full()
            case Trouble.FULL_WITH_LOG:
                _fill_last_page(log)
                return self._full()
            case Trouble.REFUSING:
                return _undone("chattr", "+i", "-i", database, database.with_name(database.name + "-wal"))
            case Trouble.HANGING:
                return self._frozen()
            case Trouble.LOCKED:
                return _locked(database)

    @contextmanager
    def _full(self) -> Iterator[None]:
        ballast = self.path / "ballast"
        try:
            _fill(ballast)
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        """By a process of its own, which thaws it in the end even if we are gone."""
        script = 'fsfreeze -f "$0" && { echo; read -t "$1" _; fsfreeze -u "$0"; }'
        command = ["bash", "-c", script, str(self.path), str(_LONGEST_FREEZE)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as freezer:
            if freezer.stdout is None or not freezer.stdout.readline():
                raise RuntimeError("the file system does not freeze")
            try:
                yield
            finally:
                freezer.communicate(b"\n")


def _fill(ballast: Path) -> None:
    """Take every block that is left."""
    with ballast.open("wb") as file:
        size, free = 0, os.statvfs(ballast).f_bavail * os.statvfs(ballast).f_frsize
        while free >= _BLOCK:
            try:
                os.posix_fallocate(file.fileno(), size, free)
            except OSError:
                free //= 2
            else:
                size += free


def _fill_last_page(log: Path) -> None:
    """Leave no room behind what was logged: the next line needs a block that is not there."""
    with log.open("ab") as file:
        file.write(b"\n" * (-log.stat().st_size % _PAGE))


@contextmanager
def _undone(command: str, begin: str, end: str, *paths: Path) -> Iterator[None]:
    there = [str(path) for path in paths if path.exists()]
    _call(command, begin, *there)
    try:
        yield
    finally:
        _call(command, end, *there)


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Another process that began to write and does not end: here, another connection."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=5.0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
