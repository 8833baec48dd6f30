"""docs/performance.md: each command replaces its own section, everything else on the page is kept."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from bench.goals import Figure, table, verdict
from bench.processes import machine

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
HEAD = """# Performance

What refreshd costs, and which of its goals it misses. The sections "Speed", "Scale" and "Replicas" are written by `make bench`,
`make bench-scale` and `make bench-replicas`, which take every figure in one run; "Notes" is written by people.
"""
GOALS = ("figure", "measured", "goal", "", "how")


def section(
    title: str, *, command: str, load: str, about: Sequence[str], figures: Sequence[Figure], tables: Sequence[str]
) -> str:
    """One section of the page: how it was measured, what was found, what is slower than wanted. `load`: before the run."""
    day = dt.datetime.now(dt.UTC).date().isoformat()
    parts = [f"## {title}", f"{day}, `{command}`, {machine()}; load average {load}.", *about, *tables]
    parts += [table(GOALS, [figure.row() for figure in figures]), verdict(figures)]
    return "\n\n".join(parts) + "\n"


def replaced(page: str, title: str, text: str) -> str:
    """The page with that section's new text in its old place, or before the notes, or at the end."""
    opening, *sections = ("\n" + (page or HEAD)).split("\n## ")
    titles = [one.partition("\n")[0].strip() for one in sections]
    new = text.removeprefix("## ").strip() + "\n"
    if title in titles:
        sections[titles.index(title)] = new
    else:
        sections.insert(titles.index("Notes") if "Notes" in titles else len(sections), new)
    return "\n## ".join([opening.strip() + "\n", *(one.strip() + "\n" for one in sections)])


def write(title: str, text: str) -> None:
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text(replaced(before, title, text), encoding="utf-8")
