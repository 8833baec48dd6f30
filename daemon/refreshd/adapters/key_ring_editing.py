"""Changing the key ring's file: a new key above, spent ones out. At every instant the file holds every key that is needed."""

import fcntl
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refreshd.adapters.aesgcm_sealer import KeyRingFault, new_key_line

_PRIVATE = stat.S_IRUSR | stat.S_IWUSR
STEPS = (
    "Where the file is a copy that something else provides (systemd's LoadCredential, a Kubernetes Secret), add the key to the "
    'source, above the others, and restart the daemon; docs/operations.md, "Changing the key", has the steps'
)


def add_key(path: Path) -> str:
    """Put a new key above the others; returns its id. Raises `KeyRingFault`, then nothing was changed."""
    line = new_key_line()
    with _editing(path) as target:
        lines = _lines(target)
        first = next((number for number, one in enumerate(lines) if _key_id(one)), len(lines))
        _replace(target, [*lines[:first], line, *lines[first:]])
    return line.partition(":")[0]


def retire_keys(path: Path, spent: Collection[str]) -> Path:
    """Move these keys into the file beside it that is named `.retired`, which is returned. Raises `KeyRingFault`."""
    with _editing(path) as target:
        retired = target.with_name(f"{target.name}.retired")
        lines = _lines(target)
        leaving = [line for line in lines if _key_id(line) in spent]
        before = _lines(retired) if retired.exists() else ["# keys that only older copies of the store need"]
        _replace(retired, [*before, *(line for line in leaving if line not in before)], like=target)
        _replace(target, [line for line in lines if line not in leaving])
    return retired


def _key_id(line: str) -> str:
    return line.split("#", 1)[0].partition(":")[0].strip()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise KeyRingFault(f"the key ring {path} cannot be read: {exc.strerror}") from exc


@contextmanager
def _editing(path: Path) -> Iterator[Path]:
    """The file behind any link, with nobody else of us changing it."""
    target = path.resolve()
    try:
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise KeyRingFault(f"the directory {target.parent} cannot be opened: {exc.strerror}") from exc
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield target
    except BlockingIOError as exc:
        raise KeyRingFault(f"another command changes {target} now; try again when it has ended") from exc
    finally:
        os.close(directory)


def _replace(target: Path, lines: list[str], *, like: Path | None = None) -> None:
    """Old or new, never half, also after a crash: written beside it, synced, renamed, and the directory synced."""
    model = (like or target).stat()
    new = target.with_name(f".{target.name}.new")
    try:
        with suppress(FileNotFoundError):
            new.unlink()  # what a crash left behind
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            made = os.fstat(file.fileno())
            if (model.st_uid, model.st_gid) != (made.st_uid, made.st_gid):
                os.fchown(file.fileno(), model.st_uid, model.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(model.st_mode))
            file.write("\n".join([*lines, ""]))
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
        _sync(target.parent)
    except OSError as exc:
        with suppress(OSError):
            new.unlink()
        raise KeyRingFault(f"the key ring {target} cannot be changed here: {exc.strerror}. {STEPS}") from exc


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
