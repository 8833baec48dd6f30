"""`config print` and `migrate`: what applies, and a store that fits."""

from typing import Annotated

import typer

from refreshd.cli.output import print_json
from refreshd.cli.session import load_settings


def register(app: typer.Typer) -> None:
    app.command("migrate", short_help="Bring the store's schema up to date.")(migrate)
    group = typer.Typer(help="Look at the configuration.", no_args_is_help=True, rich_markup_mode=None)
    group.command("print", short_help="The effective configuration, secrets redacted.")(print_)
    app.add_typer(group, name="config")


def print_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The effective configuration, defaults included, secrets redacted."""
    from refreshd.config import effective, to_toml  # noqa: PLC0415

    values = effective(load_settings(context).settings)
    if as_json:
        print_json(values)
    else:
        typer.echo(to_toml(values), nl=False)


def migrate(context: typer.Context) -> None:
    """Bring the store's schema up to date; `run` does it too. The store is copied first."""
    from refreshd.wiring.store import open_store, run_lock  # noqa: PLC0415

    settings = load_settings(context).settings
    with run_lock(settings), open_store(settings, upgrade=True, create=True) as opened:
        done = opened.migrated
    if done.copy:
        typer.echo(f"schema {done.before} -> {done.after}; the old store was copied to {done.copy}")
        typer.echo(
            "never start from the copy: its refresh tokens are spent, and replaying one ends the login", err=True
        )
    else:
        typer.echo(f"schema {done.after}" + (" (new store)" if done.before is None else ", nothing to do"))
