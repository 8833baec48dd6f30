"""What stands in a store file, read beside the daemon or after its death without touching the file."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 5.0
_COLUMNS = (
    "id, health, in_doubt, rejections, generation, attempt_owner, attempt_started_at, next_attempt_at, expires_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One credential. Instants in seconds since 1970, None where the row has none."""

    id: str
    health: str
    in_doubt: bool
    rejections: int
    generation: int
    owner: str | None
    attempt_started_at: float | None
    next_attempt_at: float | None
    expires_at: float | None

    @property
    def settled(self) -> bool:
        """Nothing about it is open any more: it is well, or it was refused."""
        return self.rejections > 0 or self.health != "active" or not (self.in_doubt or self.owner)

    @property
    def well(self) -> bool:
        return self.health == "active" and not self.in_doubt and not self.rejections

    def due(self, at: float) -> bool:
        """Whether its turn had come by then and nobody has taken it up."""
        return self.owner is None and self.next_attempt_at is not None and self.next_attempt_at <= at


def rows(database: Path) -> dict[str, Row]:
    """Every credential by its id."""
    with closing(_connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(f"SELECT {_COLUMNS} FROM credential").fetchall()
    return {columns["id"]: _row(columns) for columns in found}


def rows_after_death(database: Path, scratch: Path) -> dict[str, Row]:
    """As `rows`, from a copy: the next start finds exactly what the dead process left."""
    return rows(_copied(database, scratch)) if database.exists() else {}


def integrity(database: Path, scratch: Path) -> str:
    """SQLite's own verdict on what a dead process left: "ok", or what is wrong."""
    with closing(sqlite3.connect(_copied(database, scratch))) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def _connect(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=_SECONDS)


def _copied(database: Path, scratch: Path) -> Path:
    scratch.mkdir(exist_ok=True)
    for old in scratch.iterdir():
        old.unlink()
    for end in ("", "-wal"):
        source = database.with_name(database.name + end)
        if source.exists():
            shutil.copyfile(source, scratch / source.name)
    return scratch / database.name


def _row(columns: sqlite3.Row) -> Row:
    return Row(
        id=columns["id"],
        health=columns["health"],
        in_doubt=bool(columns["in_doubt"]),
        rejections=columns["rejections"],
        generation=columns["generation"],
        owner=columns["attempt_owner"],
        attempt_started_at=_seconds(columns["attempt_started_at"]),
        next_attempt_at=_seconds(columns["next_attempt_at"]),
        expires_at=_seconds(columns["expires_at"]),
    )


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attempt of the log that is over. Instants in seconds since 1970."""

    id: str
    started_at: float
    ended_at: float
    generation: int
    phase: str
    outcome: str


def attempts(database: Path) -> list[Entry]:
    """The whole attempt log, oldest first."""
    columns = "credential_id, started_at, ended_at, generation, phase, outcome"
    with closing(_connect(database)) as connection:
        found = connection.execute(f"SELECT {columns} FROM attempt_log ORDER BY started_at").fetchall()
    return [
        Entry(
            id=name,
            started_at=started / 1e6,
            ended_at=ended / 1e6,
            generation=generation,
            phase=phase,
            outcome=outcome,
        )
        for name, started, ended, generation, phase, outcome in found
    ]
