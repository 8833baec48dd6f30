"""Providers of the user's own: `providers/NAME.toml` beside the configuration, in the format of the presets.

Each file is judged as a whole when the configuration is loaded, also when no client names it: who finds out only when a
client is added would look for the mistake there.
"""

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from refreshd.config.faults import Fault, fault_at, hidden_fault_at
from refreshd.config.providers import STAND_IN, Providers, names_of, presets
from refreshd.config.reading import UnreadableError, read
from refreshd.config.settings import CLIENT_KEYS, PROVIDER_KEYS, ProviderProfile
from refreshd.config.untyped import Raw
from refreshd.domain.client import AuthMethod

FOLDER = "providers"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_ALIASES = "aliases"


def provider_files(beside: Path | None) -> tuple[Providers, list[Fault]]:
    """Every provider of the user's own, by its file's name; what is wrong in a file is left out of it."""
    found: dict[str, Raw] = {}
    faults: list[Fault] = []
    folder = beside / FOLDER if beside else None
    try:
        files = sorted(folder.glob("*.toml")) if folder else []
    except OSError as exc:
        return {}, [Fault(path=str(folder), message=f"cannot be read: {exc.strerror}")]
    taken = {name for preset, table in presets().items() for name in names_of(preset, table)}
    for file in files:
        table = _judged(file, faults)
        for name in dict.fromkeys(names_of(file.stem, table)):
            if name in taken:
                faults.append(
                    Fault(path=str(file), message=f"there is a provider named {name} already; take another name")
                )
            taken.add(name)
        found[file.stem] = table
    return found, faults


def _judged(file: Path, faults: list[Fault]) -> Raw:
    if not _NAME.fullmatch(file.stem):
        wanted = "a provider's file is named by up to 32 lower-case letters, digits, dashes and underscores, then .toml"
        faults.append(Fault(path=str(file), message=wanted))
    table = _parsed(file, faults)
    clean: Raw = {}
    for key, value in table.items():
        if key in PROVIDER_KEYS:
            clean[key] = value
        elif key == _ALIASES:
            _take_aliases(file, value, clean, faults)
        else:
            faults.append(hidden_fault_at(_at(file, key), value, _unknown(key)))
    for key, fault in _misjudged(file, clean):
        faults.append(fault)
        del clean[key]
    if not clean.get("issuer") and not clean.get("token_endpoint"):
        if not faults or not any(fault.path.startswith(str(file)) for fault in faults):
            message = 'names neither an issuer nor a token_endpoint; write one of them, such as issuer = "https://…"'
            faults.append(Fault(path=str(file), message=message))
        clean["token_endpoint"] = STAND_IN
    return clean


def _parsed(file: Path, faults: list[Fault]) -> Raw:
    try:
        return tomllib.loads(read(file).text)
    except FileNotFoundError:  # a link that leads nowhere
        reason = "there is no such file"
    except UnreadableError as exc:
        reason = str(exc)
    except ValueError as exc:
        reason = f"is not valid TOML: {exc}"
    except RecursionError:
        reason = "is nested too deeply"
    faults.append(Fault(path=str(file), message=reason))
    return {}


def _take_aliases(file: Path, value: object, clean: Raw, faults: list[Fault]) -> None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        clean[_ALIASES] = value
    else:
        faults.append(fault_at(_at(file, _ALIASES), value, "must be a list of names"))


def _misjudged(file: Path, table: Raw) -> list[tuple[str, Fault]]:
    profile = {key: value for key, value in table.items() if key != _ALIASES}
    try:
        ProviderProfile.model_validate({**profile, "auth_method": AuthMethod.NONE})
    except ValidationError as exc:
        return [
            (
                str(error["loc"][0]),
                fault_at(
                    _at(file, str(error["loc"][0])),
                    error["input"],
                    str(error.get("ctx", {}).get("error", "cannot be used")),
                ),
            )
            for error in exc.errors(include_url=False)
        ]
    return []


def _unknown(key: str) -> str:
    if key.removesuffix("_file") in CLIENT_KEYS:
        return "there is no such key here; it belongs to [clients.NAME] in the configuration"
    close = get_close_matches(key, sorted({*PROVIDER_KEYS, _ALIASES}), n=1)
    return "there is no such key" + (f"; did you mean {close[0]}?" if close else "")


def _at(file: Path, key: str) -> str:
    return f"{file}: {key}"
