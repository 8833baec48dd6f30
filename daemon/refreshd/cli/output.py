"""Data on stdout: tables for people, tab-separated lines for pipes, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rich on a terminal; else a header line and one line a row, separated by tabs."""
    if not sys.stdout.isatty():
        typer.echo("\t".join(columns))
        for row in rows:
            typer.echo("\t".join(text(cell) for cell in row))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(text(cell) for cell in row))
    Console().print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """One fact a line."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        typer.echo(f"{name.ljust(width)}  {text(value)}" if sys.stdout.isatty() else f"{name}\t{text(value)}")


def text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def _plain(value: Any) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
