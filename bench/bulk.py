"""How fast credentials are imported, and what that does to a daemon that refreshes beside it."""

import contextlib
import os
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.installation import COMMAND, Installation
from tests.components.companion import Companion

POLL_SECONDS = 0.004
CHUNK = 500
BARE_ROWS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """`rate`: credentials per second, the whole command; `mebibytes`: the most memory it had."""

    rate: float
    mebibytes: float


def imported(installed: Installation, file: Path, count: int) -> Import:
    """Run `refreshd import`."""
    began = time.monotonic()
    command = [str(COMMAND), "--config", str(installed.config), "import", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"refreshd import {file.name} failed ({process.returncode})")
    return Import(rate=count / (time.monotonic() - began), mebibytes=used.ru_maxrss / 1024)


def bare_insert_rate(database: Path, scratch: Path, count: int) -> float:
    """Rows per second of `executemany` into an empty table of the same columns and indexes, as durable, in the same chunks."""
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(scratch)) as target,
    ):
        target.execute("PRAGMA journal_mode=WAL")
        target.execute("PRAGMA synchronous=FULL")
        for (statement,) in source.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'credential' AND sql IS NOT NULL ORDER BY type DESC"
        ):
            target.execute(statement)
        rows = source.execute("SELECT * FROM credential LIMIT ?", (min(count, BARE_ROWS),)).fetchall()
        insert = f"INSERT INTO credential VALUES ({', '.join('?' * len(rows[0]))})"
        began = time.monotonic()
        for start in range(0, len(rows), CHUNK):
            with target:
                target.executemany(insert, rows[start : start + CHUNK])
        return len(rows) / (time.monotonic() - began)


class CommitWatcher(Companion):
    """How long answers wait for their commit: when a row's new `updated_at` can be read, less what it says."""

    def __init__(self, database: Path, *, label: str) -> None:
        super().__init__(name="commit-watcher")
        self._database = database
        self._range = (label, chr(ord(label[0]) + 1))
        self.waits: list[float] = []

    def _accompany(self) -> None:
        query = "SELECT id, generation, updated_at FROM credential WHERE id >= ? AND id < ?"
        known: dict[str, int] = {}
        with contextlib.closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            while not self._over.wait(POLL_SECONDS):
                rows = connection.execute(query, self._range).fetchall()
                now = time.time()
                self.waits += [
                    now - at / 1e6 for name, generation, at in rows if known.get(name, generation) < generation
                ]
                known = {name: generation for name, generation, _ in rows}
