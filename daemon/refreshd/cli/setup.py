"""`init`, `check`, `config print`, `migrate`: getting ready, and knowing that one is."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from refreshd.cli.keys import write_key_ring
from refreshd.cli.output import print_json
from refreshd.cli.session import Failed, Usage, load_settings

_CONFIG = """\
# refreshd configuration; every key with its default stands in config.example.toml

[store]
encryption_key_file = "{key_file}"

[redis]
url = "redis://127.0.0.1:6379/0"

[clients.{name}]
provider = "{provider}"
client_id = "{client_id}"
{secret}
# redirect_uri = "http://127.0.0.1:8765/callback"  # for `refreshd login`: as it is registered, to the letter
"""


def register(app: typer.Typer) -> None:
    app.command("init")(init)
    app.command("migrate")(migrate)
    group = typer.Typer(help="The configuration.", no_args_is_help=True, rich_markup_mode=None)
    group.command("print")(print_)
    app.add_typer(group, name="config")


def init(
    context: typer.Context,
    client: Annotated[str, typer.Option("--client", help="A name for your registration.")] = "frameio",
    provider: Annotated[str, typer.Option("--provider", help="A preset: frameio-v2, frameio-v4.")] = "frameio-v2",
    client_id: Annotated[str | None, typer.Option("--client-id", help="Its client id; asked for if not given.")] = None,
    pkce: Annotated[bool, typer.Option("--pkce", help="A public client: it has no secret.")] = False,
    secret_file: Annotated[
        Path | None, typer.Option("--client-secret-file", help="A file that holds the client secret.")
    ] = None,
) -> None:
    """Write a first configuration and a key ring. The secret is asked for; it is never an argument."""
    target = _config_to_write(context.obj)
    directory = target.parent
    if target.exists():
        raise Failed(f"{target} exists; it is not overwritten")
    if client_id is None:
        client_id = _ask("client id: ", "--client-id")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise Failed(f"{directory} cannot be made: {exc.strerror}") from exc
    secret_line = "# a public client (PKCE): no secret"  # noqa: S105 - a comment in a file
    if not pkce:
        secret_file = secret_file or _store_secret(directory / f"{client}.secret")
        secret_line = f'client_secret_file = "{secret_file.resolve()}"'
    key_file = directory / "encryption.key"
    if not key_file.exists():
        write_key_ring(key_file)
    text = _CONFIG.format(
        key_file=key_file.resolve(), name=client, provider=provider, client_id=client_id, secret=secret_line
    )
    _write_private(target, text)
    context.obj = target
    load_settings(context)  # what we wrote must load; a name or provider that does not is told at once
    typer.echo(str(target))
    typer.echo(
        f"key ring: {key_file} (keep a copy apart from the store)\n"
        f"next: refreshd login ID --client {client} (or import what a callback of yours returned), refreshd run",
        err=True,
    )


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


def _config_to_write(path: Path | None) -> Path:
    """Where the other commands will look first: --config, $REFRESHD_CONFIG, else the place of this user."""
    from refreshd.config.places import Places  # noqa: PLC0415

    if given := Places(os.environ, Path.cwd()).config_given(path):
        return given
    if os.geteuid() == 0:
        return Path("/etc/refreshd/config.toml")
    return Path.home() / ".config" / "refreshd" / "config.toml"


def _ask(prompt: str, option: str) -> str:
    if not sys.stdin.isatty():
        raise Usage(f"{option} is needed where nobody can be asked")
    return input(prompt).strip()


def _store_secret(path: Path) -> Path:
    """From a hidden prompt, or one line of standard input."""
    if path.exists():
        return path
    secret = getpass.getpass("client secret: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not secret.strip():
        raise Usage("no client secret: give --client-secret-file, pipe it in, or say --pkce for a public client")
    _write_private(path, secret.strip() + "\n")
    return path


def _write_private(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise Failed(f"{path} cannot be written: {exc.strerror}") from exc
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
