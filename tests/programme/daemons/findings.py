"""What one thread of a programme saw; the threads' findings are added up at the end."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    """`slowest`: the longest wait in seconds, for what the programme waits for."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    slowest: float = 0.0
