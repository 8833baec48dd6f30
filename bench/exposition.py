"""Prometheus text as numbers: sums over labels, and quantiles of what a histogram saw between two scrapes."""

import math
import re
from collections.abc import Mapping

Samples = Mapping[tuple[str, str], float]
"""By name and text of the labels."""

_LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_BOUND = re.compile(r'le="([^"]+)"')


def read_samples(text: str) -> Samples:
    lines = (_LINE.fullmatch(line) for line in text.splitlines())
    return {(line[1], line[2] or ""): float(line[3]) for line in lines if line}


def total(samples: Samples, name: str, having: str = "") -> float:
    """The sum of a metric's samples whose labels hold the text."""
    return sum(value for (found, labels), value in samples.items() if found == name and having in labels)


def quantile(before: Samples, after: Samples, name: str, share: float) -> float:
    """Interpolated within its bucket, as Prometheus does; the bound of the last finite one if it lies beyond."""
    counts = _buckets(before, after, name)
    wanted = share * counts.get(math.inf, 0)
    below, start = 0.0, 0.0
    for bound, count in sorted(counts.items()):
        if count >= wanted and count > 0:
            if math.isinf(bound):
                return start
            return start + (bound - start) * (wanted - below) / (count - below)
        below, start = count, bound
    return math.nan


def highest(before: Samples, after: Samples, name: str) -> float:
    """The upper bound of the last bucket that anything fell into: no observation was greater."""
    counts = _buckets(before, after, name)
    everything = counts.get(math.inf, 0)
    return min((bound for bound, count in counts.items() if everything and count >= everything), default=math.nan)


def _buckets(before: Samples, after: Samples, name: str) -> dict[float, float]:
    """How many observations did not exceed each bound, over all labels."""
    counts: dict[float, float] = {}
    for samples, sign in ((before, -1), (after, 1)):
        for (found, labels), value in samples.items():
            bound = _BOUND.search(labels)
            if found == f"{name}_bucket" and bound:
                counts[float(bound[1])] = counts.get(float(bound[1]), 0) + sign * value
    return counts
