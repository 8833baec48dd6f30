"""Opening a SQLite database: the file's safety before anything is read from it."""

import fcntl
import os
import re
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError

from refreshd.domain.refusal import Refusal

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "glusterfs"})
_NETWORK_FUSE = ("fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.ceph", "fuse.rclone")
_MOUNTS = Path("/proc/self/mountinfo")
_PRIVATE = stat.S_IRUSR | stat.S_IWUSR
LOCK_TRIES = 20
LOCK_AGAIN = 0.01  # seconds


class StoreRefused(Refusal):
    """The store is not opened, for a reason that a person must mend. Nothing was changed."""


class StoreMissing(StoreRefused):
    """There is none yet, and the command does not make one."""


class SqlEngines:
    """Two ways into one database: `write` takes the write lock when a transaction begins, `read` cannot write at all."""

    shared = False

    def __init__(self, url: str, *, busy_timeout: timedelta) -> None:
        self.path = sqlite_path(url)
        self.place = str(self.path)
        self.write = _engine(url, busy_timeout, begin="BEGIN IMMEDIATE", pragmas=("foreign_keys=ON",))
        self.read = _engine(url, busy_timeout, begin="BEGIN", pragmas=("query_only=ON",))

    def hold_others_off(self, connection: Connection) -> None:
        """Nothing to do: BEGIN has taken the write lock."""

    def copied(self, name: str) -> Path:
        target = self.path.with_name(f"{self.path.name}.{name}")
        with private_umask(), self.read.connect() as connection:
            raw = connection.connection.driver_connection
            if raw is None:
                raise StoreRefused("the store could not be copied before its migration")
            try:
                raw.execute("PRAGMA query_only=OFF")
                raw.execute("VACUUM INTO ?", (str(target),))
            except sqlite3.Error as exc:
                raise StoreRefused(f"the store could not be copied to {target} before its migration: {exc}") from exc
            finally:
                raw.execute("PRAGMA query_only=ON")
        return target

    def time(self, connection: Connection) -> None:  # noqa: ARG002 - one machine, one clock
        return None

    def close(self) -> None:
        self.write.dispose()
        self.read.dispose()


class RunLock:
    """Held for the life of one `run` (flock on `<database>.lock`): a second one is refused, also after kill -9 it is free."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        except OSError as exc:
            raise StoreRefused(f"the lock {self._path} cannot be opened: {exc.strerror}") from exc
        if not _locked(descriptor):
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreRefused(
                f"another refreshd (process {owner}) already runs on {self._path.with_suffix('')}; stop it first"
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def is_held(self) -> bool:
        """Whether some process runs on this database now."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise StoreRefused(f"the lock {self._path} cannot be opened: {exc.strerror}") from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def _locked(descriptor: int) -> bool:
    """Take the lock. A command that only looks whether a daemon runs (`is_held`) has it for an instant: look again."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_AGAIN)
        else:
            return True
    return False


def sqlite_path(url: str) -> Path:
    """The database file of a `sqlite:///` URL. Raises `StoreRefused` for any other database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise StoreRefused("store.url must be a SQLite file, like sqlite:////var/lib/refreshd/refreshd.db")
    return Path(parsed.database).absolute()


def prepare_file(path: Path, mounts: Path = _MOUNTS) -> None:
    """Make directory and file, refuse network file systems and files that others can read.

    WAL needs memory shared between processes of one host, so a network file system would corrupt the store.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreRefused(f"cannot make the directory {path.parent}: {exc.strerror}") from exc
    kind = filesystem_of(path.parent, mounts)
    if kind in _NETWORK or kind.startswith(_NETWORK_FUSE):
        raise StoreRefused(
            f"{path} lies on a network file system ({kind}), where SQLite loses data; choose a local disk in store.url"
        )
    for name in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        if name.exists() and stat.S_IMODE(name.stat().st_mode) & 0o077:
            raise StoreRefused(f"{name} is open to other users; run: chmod 600 {name}")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE))  # -wal and -shm inherit its mode
    except OSError as exc:
        raise StoreRefused(f"the store {path} cannot be opened: {exc.strerror}") from exc


def filesystem_of(path: Path, mounts: Path = _MOUNTS) -> str:
    """The type of the file system that holds `path`, "" where the system does not tell (not Linux)."""
    if not mounts.exists():
        return ""
    best, found = -1, ""
    resolved = str(path.resolve())
    for line in os.fsdecode(mounts.read_bytes()).split("\n"):
        left, _, right = line.partition(" - ")
        if not right:
            continue
        point = _unescaped(left.split()[4])
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, found = len(point), right.split()[0]
    return found


def _unescaped(point: str) -> str:
    """The kernel writes space, tab, newline and backslash of a mount point in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), point)


@contextmanager
def private_umask() -> Iterator[None]:
    """Files made inside are readable by their owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _engine(url: str, busy_timeout: timedelta, *, begin: str, pragmas: tuple[str, ...]) -> Engine:
    engine = create_engine(url, hide_parameters=True, pool_size=1, max_overflow=4)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        try:
            mode, full = _prepare_connection(connection, busy_timeout, pragmas)
        except sqlite3.Error as exc:  # not a database, locked: SQLAlchemy passes a listener's exceptions on as they are
            raise OperationalError("PRAGMA", None, exc) from None
        if (mode, full) != ("wal", 2):
            raise StoreRefused(f"SQLite did not accept WAL with synchronous=FULL (got {mode}, {full}); another disk?")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _prepare_connection(connection: Any, busy_timeout: timedelta, pragmas: tuple[str, ...]) -> tuple[str, int]:
    """Returns the journal mode and the synchronous level that SQLite says it now has."""
    connection.isolation_level = None  # we say BEGIN ourselves; the driver's own guesses split transactions
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"PRAGMA busy_timeout={int(busy_timeout.total_seconds() * 1000)}")
        mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        cursor.execute("PRAGMA synchronous=FULL")
        full = cursor.execute("PRAGMA synchronous").fetchone()[0]
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
    return mode, full
