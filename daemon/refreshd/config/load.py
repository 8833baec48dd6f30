"""From a file, the environment and secret files to settings, or to every fault at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from refreshd.config.addresses import sqlite_url
from refreshd.config.environment import Variables, read_environment
from refreshd.config.faults import ConfigurationError, Fault, fault_at, join
from refreshd.config.keys import known_only
from refreshd.config.places import Places
from refreshd.config.provider_files import provider_files
from refreshd.config.providers import with_profiles
from refreshd.config.reading import ConfigFile, read_config
from refreshd.config.rules import violations, warnings
from refreshd.config.secret_files import exposed_secrets, resolve_files
from refreshd.config.settings import Settings
from refreshd.config.untyped import Raw

# Keys without a default: what to write when they are missing, and what stands in while the other rules are judged.
_REQUIRED = {
    "client_id": ("is needed: the id that the provider gave to your registration", "stand-in"),
    "store.url": ('is needed without $STATE_DIRECTORY and $HOME: write url = "sqlite:////…"', "sqlite:////stand-in"),
    "store.encryption_key_file": ("is needed without $STATE_DIRECTORY and $HOME", "/stand-in"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings, the file they came from (None: defaults and environment alone), and what their owner should know."""

    settings: Settings
    path: Path | None
    warnings: tuple[str, ...]


def load(path: Path | None, *, environ: Mapping[str, str], cwd: Path | None = None) -> Loaded:
    """Raises `ConfigurationError` with all faults at once; only a file that cannot be parsed hides those inside it."""
    places = Places(environ, cwd or Path.cwd())
    file = read_config(path, places)
    variables = read_environment(environ)
    table, faults = _merged(file, variables)
    found = resolve_files(table, places, file.path if file else None)
    _fill_defaults(table, places)
    own, misfiled = provider_files(file.path.parent if file else None)
    misread = [*found.faults, *misfiled, *with_profiles(table, own)]
    settings, misjudged = _judged(table, misread)
    faults += [*misread, *misjudged]
    if faults or settings is None:
        sources = variables.sources | found.sources
        raise ConfigurationError(_sourced(fault, sources) for fault in sorted(faults, key=lambda fault: fault.path))
    return Loaded(settings=settings, path=file.path if file else None, warnings=(*found.warnings, *warnings(settings)))


def _merged(file: ConfigFile | None, variables: Variables) -> tuple[Raw, list[Fault]]:
    """The file's table with the environment laid over it, and faults that only one of them can have."""
    table, faults = known_only(file.table if file else {})
    if file and file.is_open_to_others:
        faults += exposed_secrets(table, file.path)
    above, more = known_only(variables.table)
    _lay_over(table, above)
    return table, [*faults, *variables.faults, *more]


def _lay_over(below: Raw, above: Raw) -> None:
    """A `<key>_file` above replaces `<key>` below, and the other way round."""
    for key, value in above.items():
        inner = below.get(key)
        if isinstance(value, dict) and isinstance(inner, dict):
            _lay_over(inner, value)
            continue
        below.pop(f"{key}_file", None)
        below.pop(key.removesuffix("_file"), None)
        below[key] = value


def _fill_defaults(table: Raw, places: Places) -> None:
    store, state = table.setdefault("store", {}), places.state_directory()
    if state and isinstance(store, dict):
        store.setdefault("url", sqlite_url(state / "refreshd.db"))
        store.setdefault("encryption_key_file", str(state / "encryption.key"))
        store.setdefault("spool_directory", str(state / "spool"))


def _judged(table: Raw, earlier: list[Fault]) -> tuple[Settings | None, list[Fault]]:
    """Each value by its type, then the rules between them, also when single values are wrong."""
    known = {fault.path.removesuffix("_file") for fault in earlier} | {fault.path for fault in earlier}
    settings, faults = _validated(table)
    faults = [fault for fault in faults if fault.path not in known]
    if faults:
        settings, _ = _validated(table)
    wrong = known | {fault.path for fault in faults}
    for violation in violations(settings) if settings else ():
        if not wrong & {violation.fault.path, *violation.about}:
            faults.append(violation.fault)
    return settings, faults


def _validated(table: Raw) -> tuple[Settings | None, list[Fault]]:
    """The settings, or faults; then what is wrong is taken out of the table, so that a second try gets through."""
    try:
        return Settings.model_validate(table), []
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
        faults = [_fault(error) for error in errors]
    for error in errors:
        _take_out(table, error["loc"])
    return None, faults


def _fault(error: ErrorDetails) -> Fault:
    path = _path(error["loc"])
    if error["type"] == "missing":
        return Fault(path=path, message=_required(path)[0])
    reason = error.get("ctx", {}).get("error", "cannot be used")
    return fault_at(path, error["input"], str(reason))


def _take_out(table: Raw, loc: tuple[int | str, ...]) -> None:
    *way, key = map(str, loc)
    for step in way:
        inner = table[step]
        if not isinstance(inner, dict):
            return
        table = inner
    table.pop(key, None)
    if stand_in := _required(_path(loc))[1]:
        table[key] = stand_in


def _required(path: str) -> tuple[str, str]:
    return _REQUIRED.get(path) or _REQUIRED.get(path.rpartition(".")[2]) or ("is needed", "")


def _path(loc: tuple[int | str, ...]) -> str:
    """As it stands in the file, where a provider's keys lie in the client's own table."""
    path = ""
    for step in loc:
        path = path if step == "provider_profile" else join(path, str(step))
    return path


def _sourced(fault: Fault, sources: Mapping[str, str]) -> Fault:
    """With the variable or file that the value came from, if it was not the configuration file."""
    source = sources.get(fault.path, "")
    return replace(fault, source=source) if source else fault
