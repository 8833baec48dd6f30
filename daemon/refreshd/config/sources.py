"""Where values come from: the file, the environment, and files named by `<key>_file`. Merged into one plain dictionary."""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refreshd.config.faults import Fault

ENVIRONMENT_PREFIX = "REFRESHD_"
PATH_KEYS = frozenset({"encryption_key_file", "ca_file"})
SECRET_KEYS = frozenset({"client_secret"})
MAX_SECRET_FILE = 64 * 1024


def find_config(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The first that exists of: `path`, $REFRESHD_CONFIG, ./config.toml, ~/.config/refreshd, /etc/refreshd."""
    named = path or (Path(environ["REFRESHD_CONFIG"]) if environ.get("REFRESHD_CONFIG") else None)
    if named is not None:
        return named if named.is_absolute() else cwd / named
    home = Path(environ["HOME"]) if environ.get("HOME") else None
    places = [cwd / "config.toml", *([home / ".config/refreshd/config.toml"] if home else [])]
    return next((place for place in [*places, Path("/etc/refreshd/config.toml")] if place.is_file()), None)


def read_file(path: Path | None, faults: list[Fault]) -> dict[str, Any]:
    """The TOML file as a dictionary. A file with an inline secret must not be readable by others."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError:
        faults.append(Fault(str(path), "there is no such file; `refreshd init` writes a first one"))
    except (OSError, UnicodeDecodeError) as exc:
        faults.append(Fault(str(path), f"cannot be read: {getattr(exc, 'strerror', None) or 'it is not UTF-8 text'}"))
    except tomllib.TOMLDecodeError as exc:
        faults.append(Fault(str(path), f"is not valid TOML: {exc}"))
    else:
        if stat.S_IMODE(path.stat().st_mode) & 0o044 and (place := _inline_secret(values)):
            faults.append(
                Fault(place, f"stands in a file that others can read; run: chmod 600 {path}, or use {place}_file")
            )
        return values
    return {}


def overlay_environment(values: dict[str, Any], environ: Mapping[str, str], faults: list[Fault]) -> None:
    """`REFRESHD_SECTION__KEY` over the file. Values are read as TOML where they are numbers, booleans or lists."""
    for name, raw in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name == "REFRESHD_CONFIG":
            continue
        *tables, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        target: Any = values
        for table in tables:
            target = target.setdefault(table, {}) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            faults.append(Fault(name, "does not name a key of ours; write REFRESHD_SECTION__KEY"))
            continue
        target.pop(f"{key}_file", None)
        if key.endswith("_file") and key not in PATH_KEYS:
            target.pop(key.removesuffix("_file"), None)
        target[key] = _environment_value(raw)


def resolve_files(values: dict[str, Any], *, directories: list[Path], faults: list[Fault], place: str = "") -> None:
    """Replace every `<key>_file` by the file's content, less one line end; make the paths that stay absolute."""
    for key in list(values):
        where = f"{place}{key}"
        value = values[key]
        if isinstance(value, dict):
            resolve_files(value, directories=directories, faults=faults, place=f"{where}.")
        elif key in PATH_KEYS and isinstance(value, str):
            values[key] = _locate(value, directories)
        elif key.endswith("_file") and key not in PATH_KEYS:
            _replace_by_content(values, key, where, directories, faults)


def _replace_by_content(
    values: dict[str, Any], key: str, where: str, directories: list[Path], faults: list[Fault]
) -> None:
    bare, name = key.removesuffix("_file"), values.pop(key)
    if bare in values:
        faults.append(Fault(where, f"stands beside {bare}; keep one of the two"))
        return
    if not isinstance(name, str) or not name:
        faults.append(Fault(where, f"write a path as text, not {type(name).__name__}"))
        return
    path = _locate(name, directories)
    try:
        if path.stat().st_size > MAX_SECRET_FILE:
            faults.append(Fault(where, "the file is larger than 64 KiB; is it the right one?", str(path)))
            return
        values[bare] = path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as exc:
        faults.append(Fault(where, f"the file cannot be read: {exc.strerror}", str(path)))
        values[bare] = _Unread(bare)
    except UnicodeDecodeError:
        faults.append(Fault(where, "the file is not UTF-8 text", str(path)))
        values[bare] = _Unread(bare)


class _Unread(str):
    """Stands where a file could not be read, so that its key is not reported as missing too."""

    __slots__ = ()


def _locate(name: str, directories: list[Path]) -> Path:
    """An absolute path; a relative one is looked for in systemd's credentials, then beside the configuration."""
    path = Path(name).expanduser()
    if path.is_absolute():
        return path
    candidates = [directory / path for directory in directories]
    return next((one for one in candidates if one.exists()), candidates[-1])


def _inline_secret(values: Mapping[str, Any], place: str = "") -> str | None:
    for key, value in values.items():
        where = f"{place}{key}"
        if isinstance(value, Mapping):
            if found := _inline_secret(value, f"{where}."):
                return found
        elif isinstance(value, str) and (key in SECRET_KEYS or (key in ("url", "proxy") and _has_password(value))):
            return where
    return None


def _has_password(url: str) -> bool:
    _, _, rest = url.partition("://")
    user, at, _ = rest.rpartition("@")
    return bool(at) and ":" in user


def _environment_value(raw: str) -> Any:
    try:
        value = tomllib.loads(f"v = {raw}")["v"]
    except tomllib.TOMLDecodeError:
        return raw
    return value if isinstance(value, bool | int | float | list) else raw


def state_directory(environ: Mapping[str, str]) -> Path:
    """systemd's $STATE_DIRECTORY, else the user's own."""
    if named := environ.get("STATE_DIRECTORY"):
        return Path(named.split(":")[0])
    return Path(environ.get("HOME") or os.path.expanduser("~")) / ".local/state/refreshd"  # noqa: PTH111 - also without HOME
