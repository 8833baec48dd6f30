"""One configuration out of file, environment and secret files; every fault of it at once."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from refreshd.config.checks import cross_faults, cross_warnings
from refreshd.config.faults import ConfigurationError, Fault
from refreshd.config.profile import PROVIDER_KEYS, ProviderProfile, preset, preset_names
from refreshd.config.settings import CLIENT_NAME, ClientSettings, Settings
from refreshd.config.sources import (
    find_config,
    overlay_environment,
    read_file,
    resolve_files,
    state_directory,
)
from refreshd.domain.client import AuthMethod

_HIDDEN = frozenset({"client_secret", "url", "proxy"})
_WORDS = {
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "bool_type": "write true or false",
    "string_type": "write a text in quotes",
    "dict_type": "write a table",
    "model_type": "write a table",
    "list_type": "write a list in brackets",
    "path_type": "write a path in quotes",
    "missing": "is missing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`path`: the file that was used, None for defaults. `warnings`: said once by `check` and at start."""

    settings: Settings
    path: Path | None
    warnings: tuple[str, ...]


def load(path: Path | None, *, environ: Mapping[str, str], cwd: Path | None = None) -> Loaded:
    """Raises `ConfigurationError` with every fault found."""
    here = cwd or Path.cwd()
    faults: list[Fault] = []
    found = find_config(path, environ, here)
    values = read_file(found, faults)
    overlay_environment(values, environ, faults)
    beside = found.parent if found else here
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    resolve_files(values, directories=[*([Path(credentials)] if credentials else []), beside], faults=faults)
    _default_places(values, environ)
    profiles = _take_profiles(values, faults)
    settings = _validated(values, faults)
    if settings is not None and not faults:
        for name, profile in profiles.items():
            settings.clients[name].with_profile(profile)
        faults += cross_faults(settings)
    if settings is None or faults:
        raise ConfigurationError(faults)
    return Loaded(settings=settings, path=found, warnings=tuple(cross_warnings(settings)))


def _default_places(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    store = values.setdefault("store", {})
    if isinstance(store, dict):
        store.setdefault("url", f"sqlite:///{state_directory(environ) / 'refreshd.db'}")
        store.setdefault("encryption_key_file", state_directory(environ) / "encryption.key")


def _take_profiles(values: dict[str, Any], faults: list[Fault]) -> dict[str, ProviderProfile]:
    """Move provider keys out of each client's table into its profile."""
    clients = values.get("clients", {})
    profiles: dict[str, ProviderProfile] = {}
    if not isinstance(clients, dict):
        return profiles
    for name, table in clients.items():
        place = f"clients.{name}"
        if not CLIENT_NAME.fullmatch(name):
            faults.append(Fault(place, "name a client with a-z 0-9 _, first a letter, at most 32 characters"))
        if not isinstance(table, dict):
            continue
        own = {key: table.pop(key) for key in list(table) if key in PROVIDER_KEYS}
        provider = table.get("provider", ClientSettings.model_fields["provider"].default)
        base = preset(provider) if isinstance(provider, str) else None
        if base is None:
            names = ", ".join(preset_names())
            faults.append(Fault(f"{place}.provider", f"there is no such preset; choose one of {names}", repr(provider)))
            continue
        profile = _profile({**base, **own}, place, faults, has_secret="client_secret" in table)
        if profile is not None:
            profiles[name] = profile
    return profiles


def _profile(values: Mapping[str, Any], place: str, faults: list[Fault], *, has_secret: bool) -> ProviderProfile | None:
    try:
        profile = ProviderProfile.model_validate(dict(values))
    except ValidationError as exc:
        faults += [_fault(error, values, f"{place}.") for error in exc.errors(include_url=False)]
        return None
    method = profile.auth_method or (AuthMethod.BASIC if has_secret else AuthMethod.NONE)
    if method is AuthMethod.NONE and has_secret:
        faults.append(Fault(f"{place}.client_secret", "auth_method is none (a public client), which has no secret"))
    if method is not AuthMethod.NONE and not has_secret:
        faults.append(Fault(f"{place}.client_secret_file", f"is missing: {method.value} needs a client secret"))
    return profile.model_copy(update={"auth_method": method})


def _validated(values: dict[str, Any], faults: list[Fault]) -> Settings | None:
    try:
        return Settings.model_validate(values)
    except ValidationError as exc:
        faults += [_fault(error, values, "") for error in exc.errors(include_url=False)]
        return None


def _fault(error: Any, values: Mapping[str, Any], prefix: str) -> Fault:
    location = [str(part) for part in error["loc"]]
    path = prefix + ".".join(location)
    value = _value_at(values, error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        return Fault(path, f"is not a key of ours{_suggestion(location)}")
    if kind == "value_error":
        message = str(error["ctx"]["error"])
    elif kind in _WORDS:
        message = _WORDS[kind]
    else:
        message = str(error["msg"]).replace("Input should be", "must be").replace("String should", "must")
    if kind == "missing":
        return Fault(path, message)
    shown = "***" if location[-1] in _HIDDEN else repr(value)[:80]
    return Fault(path, f"{message}, not {type(value).__name__}" if kind.endswith("_type") else message, shown)


def _value_at(values: Any, location: tuple[int | str, ...]) -> Any:
    for part in location:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return values
    return values


def _suggestion(location: list[str]) -> str:
    model: Any = Settings
    for part in location[:-1]:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        model = ClientSettings if field is None or part == "clients" else field.annotation
    known = set(getattr(model, "model_fields", {}))
    if model is ClientSettings:
        known |= PROVIDER_KEYS
    near = difflib.get_close_matches(location[-1].removesuffix("_file"), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
