"""`init`: a first configuration with its secret and key ring. Either all of it is put in place, or nothing is."""

import getpass
import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Annotated

import typer

from refreshd.cli.keys import write_key_ring
from refreshd.cli.session import Failed, Usage, load_settings
from refreshd.domain.token_text import is_plain

_CONFIG = """\
# refreshd configuration; every key with its default stands in config.example.toml

[store]
encryption_key_file = {key_file}

[redis]
url = "redis://127.0.0.1:6379/0"

[clients.{name}]
provider = {provider}
{endpoints}client_id = {client_id}
{secret}
# redirect_uri = "http://127.0.0.1:8765/callback"  # for `refreshd login`: as it is registered, to the letter
"""
_PUBLIC = "# a public client (PKCE): no secret"


def register(app: typer.Typer) -> None:
    app.command("init", short_help="Write a first configuration and a key ring.")(init)


def init(
    context: typer.Context,
    client: Annotated[str, typer.Option("--client", help="A name for your registration.")] = "frameio",
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider", help="frameio-v2 (the default), frameio-v4, generic, or a file of yours in providers/."
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        typer.Option("--issuer", help="For generic: the provider's URL, whose metadata names its endpoints."),
    ] = None,
    token_endpoint: Annotated[
        str | None,
        typer.Option("--token-endpoint", help="For generic: where tokens are refreshed, if it has no metadata."),
    ] = None,
    client_id: Annotated[str | None, typer.Option("--client-id", help="Its client id; asked for if not given.")] = None,
    pkce: Annotated[bool, typer.Option("--pkce", help="A public client: it has no secret.")] = False,
    secret_file: Annotated[
        Path | None, typer.Option("--client-secret-file", help="A file that holds the client secret.")
    ] = None,
) -> None:
    """Write a first configuration and a key ring. The secret is asked for; it is never an argument."""
    target = _config_to_write(context.obj)
    if target.exists():
        raise Failed(f"{target} exists; it is not overwritten")
    if pkce and secret_file:
        raise Usage("a public client (--pkce) has no secret: leave out --client-secret-file, or --pkce")
    wish = _Wish(
        client=client,
        provider=provider or ("generic" if issuer or token_endpoint else "frameio-v2"),
        issuer=issuer,
        token_endpoint=token_endpoint,
        client_id=(client_id if client_id is not None else _ask("client id: ", "--client-id")).strip(),
    )
    _check(wish)
    own, key_file = target.parent / f"{client}.secret", target.parent / "encryption.key"
    secret = None if pkce or secret_file else _secret(own)
    kept = None if pkce else secret_file or own
    with ExitStack() as temporary, ExitStack() as undo:
        _make(target.parent, temporary)
        tried = _written(target.parent, f"{secret}\n", temporary) if secret else kept
        _judge(context, _written(target.parent, _text(wish, key_file, tried), temporary))
        final = _written(target.parent, _text(wish, key_file, kept), temporary)
        if secret and tried:
            _place(tried, own, undo)
        if not key_file.exists():
            undo.callback(key_file.unlink, missing_ok=True)
            write_key_ring(key_file)
        _place(final, target, undo)
        undo.pop_all()
    if kept == own and not secret:
        typer.echo(f"the client secret is the one in {own}", err=True)
    typer.echo(str(target))
    typer.echo(
        f"key ring: {key_file} (keep a copy apart from the store)\n"
        f"next: refreshd login ID --client {client} (or import what a callback of yours returned), refreshd run",
        err=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What the configuration is to say."""

    client: str
    provider: str
    issuer: str | None
    token_endpoint: str | None
    client_id: str


def _check(wish: _Wish) -> None:
    """What would not be told clearly by loading it. Raises `Usage`."""
    from refreshd.config import CLIENT_NAME  # noqa: PLC0415

    if not wish.client_id or not is_plain(wish.client_id):
        raise Usage("the client id must be a text without control characters, as the provider shows it")
    if wish.provider == "generic" and not (wish.issuer or wish.token_endpoint):
        raise Usage("the provider generic names no endpoint: give --issuer URL, or --token-endpoint URL")
    if not CLIENT_NAME.fullmatch(wish.client):  # it names a file
        raise Usage(
            f"--client {wish.client!r}: up to 32 lower-case letters, digits and underscores, the first a letter"
        )


def _text(wish: _Wish, key_file: Path, secret_file: Path | None) -> str:
    from refreshd.config import toml_value  # noqa: PLC0415

    endpoints = {"issuer": wish.issuer, "token_endpoint": wish.token_endpoint}
    secret = f"client_secret_file = {toml_value(str(secret_file.resolve()))}" if secret_file else _PUBLIC
    return _CONFIG.format(
        key_file=toml_value(str(key_file.resolve())),
        name=wish.client,
        provider=toml_value(wish.provider),
        endpoints="".join(f"{key} = {toml_value(value)}\n" for key, value in endpoints.items() if value),
        client_id=toml_value(wish.client_id),
        secret=secret,
    )


def _judge(context: typer.Context, written: Path) -> None:
    """What we wrote must load: a provider or an endpoint that does not is told before anything is put in place."""
    given, context.obj = context.obj, written
    try:
        load_settings(context)
    except Usage as exc:
        raise Usage(f"nothing was written, as {exc}") from exc
    finally:
        context.obj = given


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
    return input(prompt)


def _secret(own: Path) -> str | None:
    """From a hidden prompt, or one line of standard input. None: `own` holds it already."""
    stored = _stored(own)
    prompt = "client secret: " if stored is None else f"client secret (Enter takes the one in {own}): "
    given = (getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if stored is not None:
        if given and given != stored:
            raise Failed(
                f"{own} holds another client secret, and is not overwritten; remove it, or name the file that counts with "
                "--client-secret-file"
            )
        return None
    if not given:
        raise Usage("no client secret: give --client-secret-file, pipe it in, or say --pkce for a public client")
    return given


def _stored(own: Path) -> str | None:
    try:
        return own.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise Failed(f"{own} exists and cannot be read; remove it, or give --client-secret-file") from exc


def _make(directory: Path, temporary: ExitStack) -> None:
    """A directory that stays empty is taken away again."""
    missing = not directory.exists()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise Failed(f"{directory} cannot be made: {exc.strerror}") from exc
    if missing:
        temporary.callback(_remove_if_empty, directory)


def _remove_if_empty(directory: Path) -> None:
    with suppress(OSError):
        directory.rmdir()


def _written(directory: Path, text: str, temporary: ExitStack) -> Path:
    """A file of its owner alone, under a name that nothing looks for."""
    try:
        descriptor, name = mkstemp(dir=directory, prefix=".init-")
        temporary.callback(Path(name).unlink, missing_ok=True)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except UnicodeEncodeError as exc:
        raise Usage("a name holds bytes that are not UTF-8") from exc
    except OSError as exc:
        raise Failed(f"nothing can be written in {directory}: {exc.strerror}") from exc
    return Path(name)


def _place(written: Path, target: Path, undo: ExitStack) -> None:
    if target.exists():
        raise Failed(f"{target} exists; it is not overwritten")
    try:
        written.rename(target)
    except OSError as exc:
        raise Failed(f"{target} cannot be written: {exc.strerror}") from exc
    undo.callback(target.unlink, missing_ok=True)
