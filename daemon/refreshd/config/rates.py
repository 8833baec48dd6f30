"""Rates and shares as people write them: "10/s", "600/m", "5%"."""

import math
import re

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_RATE = re.compile(r"(?P<number>[0-9]{1,9}(\.[0-9]{1,6})?)\s*/\s*(?P<unit>[smh])")
_SHARE = re.compile(r"(?P<number>[0-9]{1,3}(\.[0-9]{1,6})?)\s*%")


def parse_rate(text: str) -> float:
    """How many a second. Raises `ValueError` with what would be right."""
    found = _RATE.fullmatch(text.strip())
    if found is None or float(found["number"]) == 0:
        raise ValueError('must be a rate above 0 per second, minute or hour, such as "10/s" or "600/m"')
    return float(found["number"]) / _SECONDS[found["unit"]]


def format_rate(rate: float) -> str:
    """In the first unit that gives a whole number, else per second."""
    for unit, seconds in _SECONDS.items():
        number = rate * seconds
        if round(number) >= 1 and math.isclose(number, round(number)):
            return f"{round(number)}/{unit}"
    return f"{rate:.6f}".rstrip("0") + "/s"


def parse_share(text: str) -> float:
    """0.05 for "5%". Raises `ValueError` with what would be right."""
    found = _SHARE.fullmatch(text.strip())
    if found is None:
        raise ValueError('must be a percentage, such as "5%"')
    return float(found["number"]) / 100


def format_share(share: float) -> str:
    return f"{share * 100:.6f}".rstrip("0").rstrip(".") + "%"
