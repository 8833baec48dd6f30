"""Lengths of time as people write them. Only the notation: which lengths make sense is judged elsewhere."""

import re
from datetime import timedelta

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_NOTATION = re.compile(r"(?P<number>[0-9]{1,12}(\.[0-9]{1,6})?)(?P<unit>ms|s|m|h|d)")
_LONGEST = timedelta(days=36500)


def parse_duration(text: str) -> timedelta:
    """One number and one unit: "500ms", "1.5s", "5m", "2h", "30d". Raises `ValueError` with what would be right."""
    found = _NOTATION.fullmatch(text.strip())
    if found is None:
        raise ValueError('must be a duration: a number with a unit (ms, s, m, h or d), such as "90s" or "5m"')
    number, unit = float(found["number"]), _UNITS[found["unit"]]
    if number > _LONGEST / unit:
        raise ValueError("must be a shorter duration; a century is the longest")
    return unit * number


def format_duration(length: timedelta) -> str:
    """The shortest notation that `parse_duration` reads back as the same length."""
    for name, unit in _UNITS.items():
        if length and not length % unit:
            return f"{length // unit}{name}"
    if not length:
        return "0s"
    return f"{length / _UNITS['ms']:.3f}".rstrip("0") + "ms"
