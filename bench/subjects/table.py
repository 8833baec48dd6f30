"""The SQLite table of those that are compared with the daemon: as durable, encrypted by Fernet, far simpler."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.fernet import Fernet

from bench.credentials import REFRESH_PADDING

_TABLE = """
CREATE TABLE login (
  id TEXT PRIMARY KEY, refresh_token BLOB NOT NULL, access_token BLOB, expires_at REAL, started_at REAL,
  generation INTEGER NOT NULL DEFAULT 1
)
"""
_FERNET = Fernet(b"YmVuY2htYXJrcyBoYXZlIG5vIHNlY3JldHMgYXQgYWw=")
KEEP = "UPDATE login SET refresh_token = ?, access_token = ?, expires_at = ?, generation = generation + 1 WHERE id = ?"


def opened(path: Path) -> sqlite3.Connection:
    """A connection whose commits survive a power cut, as the daemon's do."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def sealed(text: str) -> bytes:
    """What users reach for who do not want tokens to lie about in clear."""
    return _FERNET.encrypt(text.encode())


def fill(path: Path, count: int, *, seal: Callable[[str], bytes] = sealed) -> None:
    """`count` logins, all due."""
    connection = opened(path)
    connection.execute(_TABLE)
    connection.execute("BEGIN")
    tokens = ((name, f"{name}.1.{REFRESH_PADDING}") for name in (f"c{number:07}" for number in range(count)))
    connection.executemany(
        "INSERT INTO login (id, refresh_token) VALUES (?, ?)", ((name, seal(token)) for name, token in tokens)
    )
    connection.execute("COMMIT")
    connection.close()


def unsealed(data: bytes) -> str:
    return _FERNET.decrypt(data).decode()


def logins(path: Path) -> list[tuple[str, bytes]]:
    """Ids and sealed refresh tokens."""
    connection = opened(path)
    found = connection.execute("SELECT id, refresh_token FROM login").fetchall()
    connection.close()
    return [(str(name), bytes(token)) for name, token in found]


def keep(connection: sqlite3.Connection, name: str, tokens: Mapping[str, object]) -> None:
    """One refresh, one commit: what a user's script does."""
    refresh, access = sealed(str(tokens["refresh_token"])), sealed(str(tokens["access_token"]))
    connection.execute(KEEP, (refresh, access, time.time() + float(str(tokens["expires_in"])), name))
