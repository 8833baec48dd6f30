"""`import`: what a login callback returned becomes a stored credential. An invalid file writes nothing."""

import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from refreshd.cli.entries import Entry, Source, read_source
from refreshd.cli.output import print_json
from refreshd.cli.session import Failed, Usage, load_settings, store_of
from refreshd.domain.client import GrantType
from refreshd.domain.grant import Grant, GrantRefused, read_grant, read_instant
from refreshd.domain.machine_grant import read_machine_grant

if TYPE_CHECKING:
    from refreshd.config import Settings

SHOWN = 20
PROGRESS_FROM = 2000


def register(app: typer.Typer) -> None:
    app.command("import", short_help="Store token responses that a login returned.")(import_)


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
    options = _Options(
        credential_id=credential_id,
        client=client,
        issued=_instant(issued_at, "--issued-at"),
        login=_instant(login_at, "--login-at"),
    )
    source = read_source(file)
    grants = Grants(source, settings, options)
    with store_of(settings, create=True) as opened:
        importer = opened.importer(settings)
        checked = importer.check(grants, replace=replace)
        _refuse(grants.faults, of=grants.faulty, what=source.what)
        refusals = [(grants.positions[place - 1], text) for place, text in checked.refusals]
        _refuse(refusals, of=len(refusals), what=source.what)
        if source.changed():
            raise Failed(f"nothing was imported: {file} was changed while it was read")
        with _progress(len(grants.positions)) as advance:
            done = importer.write(grants, replace=replace, now=opened.clock.now(), progress=advance)
    if as_json:
        print_json({"added": done.added, "replaced": done.replaced, "unchanged": done.unchanged})
    else:
        typer.echo(f"{done.added} added, {done.replaced} replaced, {done.unchanged} unchanged")
    if done.paused:
        more = f" and {done.paused - len(done.paused_ids)} more" if done.paused > len(done.paused_ids) else ""
        typer.echo(
            f"{done.paused} of them stay paused, so nothing is published: {', '.join(done.paused_ids)}{more}; "
            "to take them up again: refreshd resume ID, or --client NAME",
            err=True,
        )
    if grants.of_other_types:
        typer.echo(
            f"{grants.of_other_types} access tokens were not taken, as their token_type is not bearer; the refresh tokens were, "
            "and the daemon fetches new ones",
            err=True,
        )
    if grants.have_logins:
        typer.echo("a refresh token has one owner: stop whatever refreshed it before", err=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What stands in for what an entry does not say."""

    credential_id: str | None
    client: str | None
    issued: datetime | None
    login: datetime | None


class Grants:
    """The grants of a source, read anew each time, so that a million of them need not be held.

    What the first reading found stays: `positions` of the grants in the source, the first `faults` and how many are `faulty`,
    how many have access tokens `of_other_types` than can be published.
    """

    def __init__(self, source: Source, settings: "Settings", options: _Options) -> None:
        self._source = source
        self._settings = settings
        self._options = options
        self._read = False
        self.positions = array("Q")
        self.faults: list[tuple[int, str]] = []
        self.faulty = 0
        self.have_logins = False
        self.of_other_types = 0

    def __iter__(self) -> Iterator[Grant]:
        first, self._read = not self._read, True
        for count, entry in enumerate(self._source.entries(), start=1):
            if count > 1 and self._options.credential_id is not None:
                raise Usage("--id names one credential, but the file holds several entries; give an id in each")
            try:
                grant = self._grant(entry)
            except GrantRefused as exc:
                self._note(entry.position, str(exc))
                continue
            if first:
                self.positions.append(entry.position)
                self.have_logins = self.have_logins or grant.refresh_token is not None
                self.of_other_types += _has_token(entry) and grant.access_token is None
            yield grant

    def _note(self, position: int, fault: str) -> None:
        self.faulty += 1
        if len(self.faults) < SHOWN:
            self.faults.append((position, fault))

    def _grant(self, entry: Entry) -> Grant:
        """Raises `GrantRefused`."""
        if entry.fields is None:
            raise GrantRefused(entry.fault)
        options, fields = self._options, entry.fields
        name = fields.get("client") or options.client
        known = self._settings.clients.get(name) if isinstance(name, str) else None
        if known is not None and known.grant is GrantType.CLIENT_CREDENTIALS:
            return read_machine_grant(fields, credential_id=options.credential_id, client=options.client)
        scope = known.provider_profile.required_scope if known else ""
        grant = read_grant(
            fields,
            credential_id=options.credential_id,
            client=options.client,
            issued_at=options.issued,
            login_at=options.login,
            offline_scope=scope or "offline",
        )
        if known is None:
            names = ", ".join(sorted(self._settings.clients)) or "none"
            raise GrantRefused(f"no client {grant.client!r} is configured (there are: {names})")
        return grant


def _has_token(entry: Entry) -> bool:
    return entry.fields is not None and bool(entry.fields.get("access_token"))


def _refuse(faults: list[tuple[int, str]], *, of: int, what: str) -> None:
    """Every fault on a line of its own, the first of very many, then nothing is written."""
    if not faults:
        return
    shown = [f"{what} {number}: {text}" for number, text in faults[:SHOWN]]
    if of > SHOWN:
        shown.append(f"and {of - SHOWN} more")
    raise Failed("nothing was imported. " + "\n".join(shown))


def _instant(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        return read_instant(text, option)
    except GrantRefused as exc:
        raise Usage(str(exc)) from exc


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
