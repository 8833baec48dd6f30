"""Which keys exist, and what was probably meant by those that do not. Values are judged elsewhere."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from refreshd.config.environment import PREFIX
from refreshd.config.faults import Fault, fault_at, hidden_fault_at, join
from refreshd.config.settings import CLIENT_KEYS, SECTIONS, TOP_KEYS
from refreshd.config.untyped import Raw, Untyped

CLIENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_KEYS = {section: frozenset(model.model_fields) for section, model in SECTIONS.items()}
_TABLE_WANTED = "must be a table"


def tables(raw: Raw) -> Iterator[tuple[str, Raw]]:
    """Every table with its path, of a configuration that `known_only` has passed."""
    yield "", raw
    for section, value in raw.items():
        if section == "clients" and isinstance(value, dict):
            yield from ((join(section, name), client) for name, client in value.items())
        elif isinstance(value, dict):
            yield section, value


def known_only(raw: Raw) -> tuple[Raw, list[Fault]]:
    """The configuration without what nobody knows, and a fault for each of that."""
    clean: Raw = {}
    faults: list[Fault] = []
    for key, value in raw.items():
        if key in _KEYS and isinstance(value, dict):
            clean[key] = _table(key, value, _KEYS[key], faults)
        elif key == "clients" and isinstance(value, dict):
            clean[key] = _clients(value, faults)
        elif key in _KEYS or key == "clients":
            faults.append(fault_at(key, value, f"{_TABLE_WANTED}: [{key}]"))
    top = {key: value for key, value in raw.items() if key not in _KEYS and key != "clients"}
    return _table("", top, TOP_KEYS, faults) | clean, faults


def _clients(raw: Raw, faults: list[Fault]) -> Raw:
    clean: Raw = {}
    for name, client in raw.items():
        path = join("clients", name)
        if not CLIENT_NAME.fullmatch(name):
            wanted = "a client's name is a lower-case letter, then up to 31 lower-case letters, digits and underscores"
            faults.append(Fault(path=path, message=wanted))
        if not isinstance(client, dict):
            faults.append(fault_at(path, client, f"{_TABLE_WANTED}: [clients.NAME]"))
        else:
            clean[name] = _table(path, client, CLIENT_KEYS, faults)
    return clean


def _table(path: str, table: Raw, known: frozenset[str], faults: list[Fault]) -> Raw:
    clean: Raw = {}
    for key, value in table.items():
        base = key.removesuffix("_file")
        if key in known:
            clean[key] = value
        elif base in known and base in table:
            faults.append(Fault(path=join(path, key), message=f"{base} is given too; keep one of the two"))
        elif base in known:
            clean[key] = value
        else:
            faults.append(hidden_fault_at(join(path, key), value, _unknown(path, key, value, known)))
    return clean


def _unknown(path: str, key: str, value: object, known: frozenset[str]) -> str:
    if not path and isinstance(value, dict):
        return _meant("there is no such table", key, [*SECTIONS, "clients"])
    if not path and isinstance(value, Untyped):
        variables = (f"{section}__{one}".upper() for section, keys in _KEYS.items() for one in keys)
        return _meant("there is no such setting", key.upper(), [*variables, "ENVIRONMENT"], before=f"${PREFIX}")
    homes = [section for section, keys in (_KEYS | {"clients.NAME": CLIENT_KEYS}).items() if key in keys]
    if len(homes) == 1:
        return f"there is no such key here; it belongs to [{homes[0]}]"
    return _meant("there is no such key", key, [*known, *(f"{one}_file" for one in known)])


def _meant(text: str, key: str, candidates: Iterable[str], *, before: str = "") -> str:
    close = get_close_matches(key, sorted(candidates), n=1)
    return f"{text}; did you mean {before}{close[0]}?" if close else text
