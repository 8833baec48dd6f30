"""Reading the files that a configuration consists of: its own, and one for each secret."""

import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path

from refreshd.config.faults import ConfigurationError, Fault
from refreshd.config.places import Places
from refreshd.config.untyped import Raw

_OTHERS = stat.S_IRGRP | stat.S_IROTH


class UnreadableError(Exception):
    """The file cannot be used; the text says why, without the file's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What stood in a file, and who may read it."""

    text: str
    mode: int

    @property
    def is_open_to_others(self) -> bool:
        """Group or world."""
        return bool(self.mode & _OTHERS)

    @property
    def is_open_to_all(self) -> bool:
        return bool(self.mode & stat.S_IROTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    path: Path
    table: Raw
    is_open_to_others: bool


def read(path: Path) -> Text:
    """Raises `FileNotFoundError` and `UnreadableError`."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
        return Text(text=content.decode(), mode=mode)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise FileNotFoundError from exc
    except PermissionError as exc:
        raise UnreadableError(f"cannot be read: permission denied{_owner(path)}") from exc
    except OSError as exc:
        raise UnreadableError(f"cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise UnreadableError(f"is not UTF-8 text (line {line})") from None
    except ValueError as exc:  # a NUL in the name
        raise UnreadableError("cannot be read: this is no file name") from exc


def read_config(path: Path | None, places: Places) -> ConfigFile | None:
    """The configuration file that applies; None without any. Raises `ConfigurationError`."""
    given = places.config_given(path)
    for candidate in (given,) if given else places.config_candidates():
        try:
            return _parsed(candidate, read(candidate))
        except FileNotFoundError:
            continue
        except UnreadableError as exc:
            raise ConfigurationError([Fault(path=str(candidate), message=str(exc))]) from exc
    if given:
        raise ConfigurationError([Fault(path=str(given), message="there is no such file; `refreshd init` writes one")])
    return None


def _parsed(path: Path, content: Text) -> ConfigFile:
    try:
        table = tomllib.loads(content.text)
    except ValueError as exc:  # its text has the line, and of the content one character at most
        raise ConfigurationError([Fault(path=str(path), message=f"is not valid TOML: {exc}")]) from None
    except RecursionError:
        raise ConfigurationError([Fault(path=str(path), message="is nested too deeply")]) from None
    return ConfigFile(path=path, table=table, is_open_to_others=content.is_open_to_others)


def _owner(path: Path) -> str:
    """Mostly the remedy: the command must run as somebody else."""
    try:
        return f"; the file belongs to the user {path.owner()}"
    except (OSError, KeyError):
        return ""
