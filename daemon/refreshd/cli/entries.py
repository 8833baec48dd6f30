"""What `import` reads: one token response, a JSON array, or JSON Lines. Lines are read anew for each pass and never all held."""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import typer

from refreshd.cli.session import Failed

LONGEST_LINE = 64 * 1024
Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """`position`: its line, or its place in the array. `fields` None: it is faulty, and `fault` says how."""

    position: int
    fields: Fields | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """`entries` may be asked for more than once. `what` an entry is called. `changed`: whether the file is not as it was."""

    entries: Callable[[], Iterator[Entry]]
    what: str = "line"
    changed: Callable[[], bool] = lambda: False


def read_source(file: str) -> Source:
    """`-` is standard input, which is held. Raises `Failed`."""
    if file == "-":
        text = sys.stdin.read()
        lines = text.splitlines()
        return _whole(text) if _is_whole(iter(lines)) else Source(lambda: _entries(iter(lines)))
    path = Path(file)
    before = _state(path)
    if stat.S_IMODE(before.st_mode) & 0o077:
        typer.echo(f"warning: {path} is readable by others; run: chmod 600 {path}", err=True)
    if _is_whole(_lines(path)):
        return _whole("\n".join(_lines(path)))
    return Source(lambda: _entries(_lines(path)), changed=lambda: _signature(_state(path)) != _signature(before))


def _state(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as exc:
        raise Failed(f"{path} cannot be read: {exc.strerror}") from exc


def _signature(state: os.stat_result) -> tuple[int, ...]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _lines(path: Path) -> Iterator[str]:
    """Raises `Failed`."""
    try:
        with path.open(encoding="utf-8") as stream:
            yield from _bounded(stream)
    except OSError as exc:
        raise Failed(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise Failed(f"{path} is not UTF-8 text ({exc.reason})") from exc


def _bounded(stream: TextIO) -> Iterator[str]:
    """A file without line ends is not read into memory as one line, unless it is one document."""
    for line in stream:
        yield line.rstrip("\r\n")


def _is_whole(lines: Iterator[str]) -> bool:
    """Whether this is one document rather than JSON Lines: an array, or an object whose first line does not stand alone."""
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise Failed("the file is empty")
    if first.lstrip().startswith("["):
        return True
    if not first.lstrip().startswith("{"):
        return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return first.rstrip().endswith(("{", ","))
    return False


def _entries(lines: Iterator[str]) -> Iterator[Entry]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line) > LONGEST_LINE or len(line.encode("utf-8", "surrogatepass")) > LONGEST_LINE:
            yield Entry(number, None, "the line is longer than 64 KiB")
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as exc:
            yield Entry(number, None, f"invalid JSON: {_reason(exc)}")
            continue
        yield _entry(number, value)


def _whole(text: str) -> Source:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as exc:
        raise Failed(f"invalid JSON at line {exc.lineno}: {exc.msg}") from exc
    except (ValueError, RecursionError) as exc:
        raise Failed(f"invalid JSON: {_reason(exc)}") from exc
    items = value if isinstance(value, list) else [value]
    if not items:
        raise Failed("the array is empty")
    entries = [_entry(number, item) for number, item in enumerate(items, start=1)]
    return Source(lambda: iter(entries), what="entry")


def _entry(number: int, value: object) -> Entry:
    if isinstance(value, dict):
        return Entry(number, value)
    return Entry(number, None, f"expected a JSON object, not {type(value).__name__}")


def _reason(exc: Exception) -> str:
    return exc.msg if isinstance(exc, json.JSONDecodeError) else "nested too deeply or not a number we can hold"
