"""`docs/reliability.md`: a table for each programme, a row for each run, and a last row that adds the runs up.

Only table rows are written here; whatever else stands on the page is left alone.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from tests.programme.programme import Report

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

_INTRODUCTION = """# Reliability programmes

What long runs of `tests/programme` came to. Each row was appended by the command that it names; *together* adds them up.
Counts say how often a dangerous case really happened, for 0 violations of nothing would be nothing; a run in which one
happened too rarely says so. `make help` lists the programmes, and the same `SEED` repeats the same cases.
"""
_HEAD = (
    "| date (UTC) | command | N | seed | duration | counts | violations |",
    "| --- | --- | --: | --: | --: | --- | --- |",
)
_TOGETHER = "*together*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run as the page has it; `rare` names what happened too rarely."""

    date: str
    command: str
    n: int
    seed: int
    duration: timedelta
    counts: tuple[tuple[str, int], ...]
    violations: int
    rare: str = ""

    @classmethod
    def of(cls, report: Report, command: str, at: datetime) -> Self:
        return cls(
            date=f"{at.astimezone(UTC):%Y-%m-%d %H:%M}",
            command=command,
            n=report.n,
            seed=report.seed,
            duration=timedelta(seconds=round(report.seconds)),
            counts=tuple(report.counts.items()),
            violations=len(report.violations),
            rare=", ".join(report.missed()),
        )

    @classmethod
    def read(cls, line: str) -> Self:
        date, command, n, seed, duration, counts, verdict = (
            cell.strip() for cell in line.strip().strip("|").split("|")
        )
        violations, _, rare = verdict.partition("; too rare: ")
        named = (entry.rpartition(" ") for entry in counts.split("; ") if entry)
        return cls(
            date=date,
            command=command.strip("`"),
            n=_number(n),
            seed=int(seed),
            duration=_length(duration),
            counts=tuple((name, _number(count)) for name, _, count in named),
            violations=_number(violations),
            rare=rare,
        )

    def line(self) -> str:
        verdict = f"{self.violations:,}" + (f"; too rare: {self.rare}" if self.rare else "")
        return _line(
            self.date, f"`{self.command}`", f"{self.n:,}", self.seed, self.duration, _texts(self.counts), verdict
        )


def record(report: Report, command: str, *, about: str = "", page: Path = PAGE, at: datetime | None = None) -> None:
    """Append one row to the programme's table. `about`: a sentence under the heading, if the section is new."""
    row = Row.of(report, command, at or datetime.now(UTC))
    with _alone(page.parent):
        text = page.read_text() if page.exists() else _INTRODUCTION
        page.write_text(_with(text, report.name, about, row))


def _with(text: str, name: str, about: str, row: Row) -> str:
    heading = f"## {name}"
    lines = text.rstrip("\n").split("\n")
    if heading not in lines:
        lines += ["", heading, "", *([about, ""] if about else []), *_table([row])]
        return "\n".join(lines) + "\n"
    start = lines.index(heading) + 1
    end = next((at for at in range(start, len(lines)) if lines[at].startswith("## ")), len(lines))
    old = [at for at in range(start, end) if lines[at].startswith("|")]
    rows = [Row.read(lines[at]) for at in old[len(_HEAD) :] if not lines[at].startswith(f"| {_TOGETHER}")]
    before, after = (old[0], old[-1] + 1) if old else (end, end)
    return "\n".join([*lines[:before], *_table([*rows, row]), *lines[after:]]) + "\n"


def _table(rows: Sequence[Row]) -> list[str]:
    counts: dict[str, int] = {}
    for name, count in (entry for row in rows for entry in row.counts):
        counts[name] = counts.get(name, 0) + count
    together = _line(
        _TOGETHER,
        f"{len(rows)} run{'s' if len(rows) > 1 else ''}",
        f"{sum(row.n for row in rows):,}",
        "",
        sum((row.duration for row in rows), timedelta()),
        _texts(tuple(counts.items())),
        f"{sum(row.violations for row in rows):,}",
    )
    return [*_HEAD, *(row.line() for row in rows), together]


def _line(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _texts(counts: tuple[tuple[str, int], ...]) -> str:
    return "; ".join(f"{name} {count:,}" for name, count in counts)


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _length(text: str) -> timedelta:
    """What `str(timedelta)` wrote, days included."""
    found = re.fullmatch(r"(?:(\d+) days?, )?(\d+):(\d+):(\d+)", text)
    if found is None:
        raise ValueError(f"{text!r} is no duration")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two programmes that end at the same time add two rows."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
