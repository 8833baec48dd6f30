"""Where things lie when nobody says so: the configuration, the state, secrets named by a relative path."""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path


class Places:
    """The environment and the working directory, asked for places."""

    def __init__(self, environ: Mapping[str, str], cwd: Path, *, etc: Path = Path("/etc")) -> None:
        self._environ = environ
        self._cwd = cwd
        self._etc = etc

    def config_given(self, path: Path | None) -> Path | None:
        """The file that must be there: the argument, or $REFRESHD_CONFIG."""
        if path is None and (name := self._environ.get("REFRESHD_CONFIG")):
            path = Path(name)
        return None if path is None else self._cwd / self._expanded(path)

    def config_candidates(self) -> tuple[Path, ...]:
        """Files that may be there, the first one counts."""
        home = self._home()
        own = (home / ".config" / "refreshd" / "config.toml",) if home else ()
        return (self._cwd / "config.toml", *own, self._etc / "refreshd" / "config.toml")

    def state_directory(self) -> Path | None:
        """$STATE_DIRECTORY (systemd joins several by colons), else a place in the home directory, if there is one."""
        if given := self._environ.get("STATE_DIRECTORY", "").partition(":")[0]:
            return self._cwd / given
        home = self._home()
        return home / ".local" / "state" / "refreshd" if home else None

    def file(self, name: str, *, beside: Path | None) -> Path:
        """A file named in the configuration: $CREDENTIALS_DIRECTORY comes before the configuration's own directory."""
        path = self._expanded(Path(name))
        if directory := self._environ.get("CREDENTIALS_DIRECTORY"):
            credential = self._cwd / directory / path
            if "\0" not in name and os.access(credential, os.F_OK):
                return credential
        return (beside.parent if beside else self._cwd) / path

    def _expanded(self, path: Path) -> Path:
        home = self._home() if path.parts[:1] == ("~",) else None
        return home.joinpath(*path.parts[1:]) if home else path

    def _home(self) -> Path | None:
        if home := self._environ.get("HOME"):
            return self._cwd / home
        try:
            return Path(pwd.getpwuid(os.geteuid()).pw_dir)
        except KeyError:  # a container's user without an account
            return None
