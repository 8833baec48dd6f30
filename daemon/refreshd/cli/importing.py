"""`import`: what a login callback returned becomes a stored credential. An invalid file writes nothing."""

import json
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refreshd.cli.output import print_json
from refreshd.cli.session import Failed, Usage, load_settings, store_of
from refreshd.domain.client import GrantType
from refreshd.domain.grant import Grant, GrantRefused, read_grant, read_instant
from refreshd.domain.machine_grant import read_machine_grant

if TYPE_CHECKING:
    from refreshd.config import Settings

LONGEST_LINE = 64 * 1024
SHOWN = 20
PROGRESS_FROM = 2000


def register(app: typer.Typer) -> None:
    app.command("import")(import_)


def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="A token response, JSON Lines or a JSON array; - for stdin.")],
    credential_id: Annotated[str | None, typer.Option("--id", help="The credential's id, for one response.")] = None,
    client: Annotated[str | None, typer.Option("--client", help="The configured client it belongs to.")] = None,
    issued_at: Annotated[str | None, typer.Option(help="When expires_in began to count.")] = None,
    login_at: Annotated[str | None, typer.Option(help="When the person logged in, for old grants.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="A person logged in again: same id, new login.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Store token responses (RFC 6749 §5.1). Everything is checked first; a faulty file writes nothing.

    A client with grant = "client_credentials" needs no tokens: an entry {"id": …, "client": …} is enough.
    """
    settings = load_settings(context).settings
    entries = _entries(_read(file))
    if credential_id is not None and len(entries) > 1:
        raise Usage("--id names one credential, but the file holds several entries; give an id in each")
    issued = _instant(issued_at, "--issued-at")
    login = _instant(login_at, "--login-at")
    grants = _grants(entries, settings, credential_id=credential_id, client=client, issued=issued, login=login)
    with store_of(settings, create=True) as opened:
        importer = opened.importer(settings)
        checked = importer.check(grants, replace=replace)
        _refuse([(entries[position - 1][0], text) for position, text in checked.refusals])
        with _progress(len(grants)) as advance:
            done = importer.write(grants, replace=replace, now=opened.clock.now(), progress=advance)
    if as_json:
        print_json({"added": done.added, "replaced": done.replaced, "unchanged": done.unchanged})
    else:
        typer.echo(f"{done.added} added, {done.replaced} replaced, {done.unchanged} unchanged")
    if any(grant.refresh_token for grant in grants):
        typer.echo("a refresh token has one owner: stop whatever refreshed it before", err=True)


def _read(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    path = Path(file)
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            typer.echo(f"warning: {path} is readable by others; run: chmod 600 {path}", err=True)
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise Failed(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise Failed(f"{path} is not UTF-8 text (byte {exc.start})") from exc


def _entries(text: str) -> list[tuple[int, dict[str, object]]]:
    """Every entry with the line it stands on. Raises `Failed` with each faulty line."""
    stripped = text.strip()
    if not stripped:
        raise Failed("the file is empty")
    lines = text.splitlines()
    if stripped.startswith("[") or _spans_lines(lines):
        return _whole(stripped)
    found: list[tuple[int, dict[str, object]]] = []
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line.encode("utf-8", "surrogatepass")) > LONGEST_LINE:
            faults.append((number, "the line is longer than 64 KiB"))
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as exc:
            faults.append((number, f"invalid JSON: {_reason(exc)}"))
            continue
        if isinstance(value, dict):
            found.append((number, value))
        else:
            faults.append((number, f"expected a JSON object, not {type(value).__name__}"))
    _refuse(faults)
    return found


def _spans_lines(lines: list[str]) -> bool:
    """Whether this is one pretty-printed object rather than JSON Lines: its first line does not stand alone."""
    first = next(line for line in lines if line.strip())
    if not first.lstrip().startswith("{"):
        return False
    try:
        json.loads(first)
    except ValueError:
        return first.rstrip().endswith(("{", ","))
    return False


def _whole(text: str) -> list[tuple[int, dict[str, object]]]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as exc:
        raise Failed(f"invalid JSON at line {exc.lineno}: {exc.msg}") from exc
    except (ValueError, RecursionError) as exc:
        raise Failed(f"invalid JSON: {_reason(exc)}") from exc
    items = value if isinstance(value, list) else [value]
    if not items:
        raise Failed("the array is empty")
    _refuse(
        [
            (number, f"expected a JSON object, not {type(item).__name__}")
            for number, item in enumerate(items, start=1)
            if not isinstance(item, dict)
        ],
        what="entry",
    )
    return list(enumerate(items, start=1))


def _grants(
    entries: Iterable[tuple[int, dict[str, object]]],
    settings: "Settings",
    *,
    credential_id: str | None,
    client: str | None,
    issued: datetime | None,
    login: datetime | None,
) -> list[Grant]:
    grants: list[Grant] = []
    faults: list[tuple[int, str]] = []
    for number, fields in entries:
        name = fields.get("client") or client
        known = settings.clients.get(name) if isinstance(name, str) else None
        scope = known.provider_profile.required_scope if known else ""
        try:
            if known is not None and known.grant is GrantType.CLIENT_CREDENTIALS:
                grants.append(read_machine_grant(fields, credential_id=credential_id, client=client))
                continue
            grant = read_grant(
                fields,
                credential_id=credential_id,
                client=client,
                issued_at=issued,
                login_at=login,
                offline_scope=scope or "offline",
            )
        except GrantRefused as exc:
            faults.append((number, str(exc)))
            continue
        if known is None:
            names = ", ".join(sorted(settings.clients)) or "none"
            faults.append((number, f"no client {grant.client!r} is configured (there are: {names})"))
        grants.append(grant)
    _refuse(faults)
    return grants


def _refuse(faults: list[tuple[int, str]], *, what: str = "line") -> None:
    """Every fault on a line of its own, then nothing is written."""
    if not faults:
        return
    shown = [f"{what} {number}: {text}" for number, text in faults[:SHOWN]]
    if len(faults) > SHOWN:
        shown.append(f"and {len(faults) - SHOWN} more")
    raise Failed("nothing was imported. " + "\n".join(shown))


def _instant(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        return read_instant(text, option)
    except GrantRefused as exc:
        raise Usage(str(exc)) from exc


def _reason(exc: Exception) -> str:
    return exc.msg if isinstance(exc, json.JSONDecodeError) else "nested too deeply or not a number we can hold"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal when there are thousands."""
    if total < PROGRESS_FROM or not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("importing", total=total)
        yield lambda count: progress.advance(task, count)
