"""What is wrong with a configuration, said to the person who wrote it. No secret and no library's wording gets in here."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time

from refreshd.config.addresses import redact_url
from refreshd.config.untyped import FromFile

SECRET_KEYS = frozenset({"client_secret", "password", "sentinel_password"})
_SHOWN_CHARACTERS = 80
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: where ("clients.acme.max_rate", or a file's name), the value (redacted) and its type, what would be right.

    `source` says where the value came from if not from the configuration file.
    """

    path: str
    message: str
    value: str | None = None
    kind: str = ""
    source: str = ""

    def __str__(self) -> str:
        shown = self.path if self.value is None else f"{self.path} = {self.value}"
        notes = ", ".join(note for note in (self.kind, self.source) if note)
        return f"{shown} ({notes}): {self.message}" if notes else f"{shown}: {self.message}"


class ConfigurationError(Exception):
    """The configuration cannot be used. `faults` holds every reason; the text is one line a fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def fault_at(path: str, value: object, message: str) -> Fault:
    """A fault of a value that may be shown as far as it is no secret."""
    return Fault(path=path, message=message, value=_shown(path.rpartition(".")[2], value), kind=_kind(value))


def hidden_fault_at(path: str, value: object, message: str) -> Fault:
    """A fault of a value that may be a secret under a wrong name: only its type is said."""
    return Fault(path=path, message=message, kind=_kind(value))


def join(path: str, key: str) -> str:
    """The path of a key inside a table, in TOML's own notation."""
    name = key if _BARE_KEY.fullmatch(key) else json.dumps(key)
    return f"{path}.{name}" if path else name


def _shown(key: str, value: object) -> str | None:
    if isinstance(value, FromFile | dict):
        return None
    if key in SECRET_KEYS:
        return '"***"'
    if isinstance(value, list):
        value = [redact_url(item) if isinstance(item, str) else item for item in value]
    elif isinstance(value, str):
        value = redact_url(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _kind(value: object) -> str:
    match value:
        case bool():
            return "a boolean"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "a table"
        case date() | time():
            return "a date or time"
        case _:
            return ""
