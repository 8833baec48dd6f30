"""What commands share: the configuration that applies, the store as its owner, one row or a refusal."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from refreshd.domain.refusal import Refusal

if TYPE_CHECKING:
    from refreshd.adapters.sql.inventory import Inventory, Selection, View
    from refreshd.config import Loaded, Settings
    from refreshd.wiring.store import OpenStore


class Usage(Exception):  # noqa: N818 - reads as what it says
    """The command was called wrongly, or its configuration is faulty: exit code 2."""


class Failed(Refusal):
    """The operation failed: exit code 1, this one line."""


def load_settings(context: typer.Context, environ: Mapping[str, str] = os.environ) -> "Loaded":
    """The configuration, or every fault of it at once and exit code 2."""
    from refreshd.config import ConfigurationError, load  # noqa: PLC0415

    path: Path | None = context.obj
    try:
        return load(path, environ=environ)
    except ConfigurationError as exc:
        raise Usage(f"the configuration cannot be used:\n{exc}") from exc


@contextmanager
def store_of(settings: "Settings", *, create: bool = False) -> Iterator["OpenStore"]:
    from refreshd.wiring.store import open_store  # noqa: PLC0415

    with open_store(settings, create=create) as opened:
        yield opened


def selection(credential_id: str | None, client: str | None) -> "Selection":
    """`ID` or `--client NAME`, not both."""
    from refreshd.adapters.sql.inventory import Selection  # noqa: PLC0415

    if (credential_id is None) == (client is None):
        raise Usage("give either an ID or --client NAME")
    return Selection(id=credential_id, client=client)


def demand(settings: "Settings", inventory: "Inventory", chosen: "Selection") -> None:
    """Raises `Failed` when there is nothing of that."""
    if inventory.exists(chosen):
        return
    if chosen.id is not None:
        raise Failed(f"there is no credential {chosen.id!r}; `refreshd list` shows all")
    demand_client(settings, inventory, chosen.client or "")
    raise Failed(f"client {chosen.client!r} has no credentials")


def demand_client(settings: "Settings", inventory: "Inventory", client: str) -> None:
    """Raises `Failed` when no such client is configured, and no credential is left of one."""
    from refreshd.adapters.sql.inventory import Selection  # noqa: PLC0415

    if client in settings.clients or inventory.exists(Selection(client=client)):
        return
    names = ", ".join(sorted({*settings.clients, *inventory.clients()})) or "none"
    raise Failed(f"there is no client {client!r}, neither configured nor in the store (there are: {names})")


def view_of(inventory: "Inventory", credential_id: str) -> "View":
    view = inventory.view(credential_id)
    if view is None:
        raise Failed(f"there is no credential {credential_id!r}; `refreshd list` shows all")
    return view


def daemon_runs(settings: "Settings") -> bool:
    """Whether some daemon works on this store now."""
    from refreshd.wiring.store import daemon_runs as runs  # noqa: PLC0415

    return runs(settings)


def seconds(text: str) -> float:
    """A duration option like 30s or 5m. Raises `Usage`."""
    from refreshd.config.durations import parse_duration  # noqa: PLC0415

    try:
        length = parse_duration(text)
    except ValueError as exc:
        raise Usage(f"{text!r} is not a duration: {exc}") from exc
    return length.total_seconds()
