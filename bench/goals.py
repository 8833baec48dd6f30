"""A measured figure, the goal it is held against, and the words for both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Aim(StrEnum):
    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`note` says how it was measured, where its name does not."""

    name: str
    value: float
    unit: str = ""
    aim: Aim = Aim.AT_MOST
    goal: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        """True also without a goal. What could not be measured is not met."""
        if self.goal is None:
            return True
        if math.isnan(self.value):
            return False
        return self.value <= self.goal if self.aim is Aim.AT_MOST else self.value >= self.goal

    def row(self) -> tuple[str, str, str, str, str]:
        goal = "" if self.goal is None else f"{self.aim.value} {shown(self.goal, self.unit)}"
        verdict = "" if self.goal is None else "met" if self.met else "**missed**"
        return self.name, shown(self.value, self.unit), goal, verdict, self.note

    def words(self) -> str:
        """One sentence about a goal that was missed."""
        value, goal = shown(self.value, self.unit), shown(self.goal or 0, self.unit)
        wanted = "at most" if self.aim is Aim.AT_MOST else "at least"
        factor = self.value / self.goal if self.goal else math.nan
        factor = factor if self.aim is Aim.AT_MOST else 1 / factor if factor else math.nan
        return f"{self.name}: {value}, wanted {wanted} {goal} (off by a factor of {factor:.1f})."


def shown(value: float, unit: str) -> str:
    if math.isnan(value):
        return "not measured"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    number = f"{value:,.{digits}f}"
    return f"{number} {unit}" if unit else number


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, columns padded so that it reads on a terminal too."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def verdict(figures: Sequence[Figure]) -> str:
    """What is slower than wanted, in words."""
    missed = [figure for figure in figures if not figure.met]
    if not missed:
        return "Every goal is met."
    return "\n".join(["Slower than wanted:", "", *(f"- {figure.words()}" for figure in missed)])
