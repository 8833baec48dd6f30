"""The command line as a whole: its commands, and what every fault becomes."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from refreshd import __version__
from refreshd.cli import checking, credentials, demo, first_config, importing, keys, login, removing, run, setup, tokens
from refreshd.cli.session import Usage
from refreshd.domain.refusal import Refusal

app = typer.Typer(
    name="refreshd",
    help="Keeps OAuth 2.0 credentials fresh and publishes current access tokens to Redis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables, tokens included
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (first_config, checking, run, demo, login, importing, credentials, removing, tokens, setup, keys):
    module.register(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="PATH",
            help="Configuration file. Else $REFRESHD_CONFIG, ./config.toml, ~/.config/refreshd, /etc/refreshd.",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - answered by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    context.obj = config


def main() -> None:
    """Exit codes: 0 done, 1 the operation failed, 2 usage or configuration error; never a traceback for those."""
    try:
        app()
    except Usage as exc:
        typer.echo(f"refreshd: {exc}", err=True)
        sys.exit(2)
    except Refusal as exc:
        typer.echo(f"refreshd: {exc}", err=True)
        sys.exit(1)
