"""`keys`: the key ring for encryption at rest. Changing it while rows rest under it stands in `rotating`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from refreshd.cli import rotating
from refreshd.cli.session import Failed, load_settings


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Make, change and look at the encryption key ring.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("new", short_help="Make a key ring with one new key.")(new)
    group.command("list", short_help="Show the keys and how many rows need each.")(rotating.list_)
    group.command("rotate", short_help="Seal everything with a new key.")(rotating.rotate)
    group.command("prune", short_help="Move keys that no row needs out of the ring.")(rotating.prune)
    app.add_typer(group, name="keys")


def new(
    context: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="Where; else store.encryption_key_file.")] = None,
) -> None:
    """Make a key ring with one new key, readable by its owner alone. Never overwrites."""
    target = path or load_settings(context).settings.store.encryption_key_file
    write_key_ring(target)
    typer.echo(str(target))
    typer.echo("keep a copy of this file apart from the store: without it every credential is lost", err=True)


def write_key_ring(target: Path) -> None:
    """Raises `Failed` when the file exists or cannot be made."""
    from refreshd.adapters.aesgcm_sealer import new_key_line  # noqa: PLC0415

    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise Failed(f"{target} exists; a key ring is never overwritten") from exc
    except OSError as exc:
        raise Failed(f"{target} cannot be written: {exc.strerror}") from exc
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("# refreshd key ring: id:key, a line each; the first one encrypts, all decrypt\n")
        file.write(new_key_line() + "\n")
