"""Configurations on disk, and what comes of loading them. No test reads the machine's own environment."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from refreshd.config import ClientSettings, ConfigurationError, Fault, Loaded, load

CLIENT = '[clients.acme]\nclient_id = "acme-id"\n'


def write(directory: Path, text: str, *, name: str = "config.toml", mode: int = 0o600) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def loaded(directory: Path, text: str = "", environ: Mapping[str, str] | None = None) -> Loaded:
    """What a file of this text gives, in a home directory of its own."""
    path = write(directory, text)
    return load(path, environ={"HOME": str(directory / "home"), **(environ or {})}, cwd=directory)


def client(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> ClientSettings:
    """The client `acme` with these lines in its table."""
    return loaded(directory, CLIENT + text, environ).settings.clients["acme"]


def faults(directory: Path, text: str = "", environ: Mapping[str, str] | None = None) -> tuple[Fault, ...]:
    """Why a file of this text cannot be used."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(directory, text, environ)
    assert str(caught.value) == "\n".join(map(str, caught.value.faults))
    return caught.value.faults


def only_fault(directory: Path, text: str = "", environ: Mapping[str, str] | None = None) -> str:
    (fault,) = faults(directory, text, environ)
    return str(fault)
