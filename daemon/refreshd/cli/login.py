"""`login`: a person logs in through the browser, and the answer becomes a stored credential. The URL holds no secret."""

import asyncio
import contextlib
import shlex
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from refreshd.cli.output import print_json
from refreshd.cli.session import Failed, Usage, daemon_runs, load_settings, seconds, store_of
from refreshd.domain.client import GrantType

if TYPE_CHECKING:
    from refreshd.config import Settings
    from refreshd.domain.authorization import AuthorizationRequest
    from refreshd.domain.callback import NotOurs
    from refreshd.domain.login import LoginResult
    from refreshd.domain.outcome import Deferred
    from refreshd.wiring.login import LoginWish
    from refreshd.wiring.store import OpenStore

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def register(app: typer.Typer) -> None:
    app.command("login", short_help="Log a person in, or in again, through the browser.")(login)


def login(
    context: typer.Context,
    credential_id: Annotated[str, typer.Argument(metavar="ID", help="The credential's id, new or known.")],
    client: Annotated[str, typer.Option("--client", help="The configured client to log in with.")],
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address; take the redirected one, or its code, pasted back.")
    ] = False,
    timeout: Annotated[str, typer.Option("--timeout", help="How long to wait for the person.")] = "5m",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Log a person in (authorization code with PKCE), or in again: same id, new login. The daemon publishes the token."""
    settings = load_settings(context).settings
    patience = timedelta(seconds=seconds(timeout))
    _check(settings, credential_id, client)
    if settings.clients[client].grant is GrantType.CLIENT_CREDENTIALS:
        _enrol(settings, credential_id, client, as_json=as_json)
        return
    wish = _wish(settings, credential_id, client, no_browser=no_browser, patience=patience)
    from refreshd.adapters.process import forbid_core_dumps  # noqa: PLC0415
    from refreshd.cli.login_words import failure, notes  # noqa: PLC0415
    from refreshd.domain.login import LoggedIn  # noqa: PLC0415

    forbid_core_dumps()
    with store_of(settings, create=True) as opened:
        result, redirect_uri = asyncio.run(_login(settings, opened, wish))
        command = shlex.join(["refreshd", "login", credential_id, "--client", client])
        if not isinstance(result, LoggedIn):
            raise Failed(failure(result, command=command, redirect_uri=redirect_uri, patience=timeout))
        for note in notes(result):
            _say(f"note: {note}")
        if not daemon_runs(settings):
            _say("no daemon runs on this store: `refreshd run` publishes the token and keeps it fresh")
    if as_json:
        facts = {"id": result.id, "client": result.client, "account": result.account, "replaced": result.replaced}
        print_json(facts | {"resumed": result.resumed})
    else:
        typer.echo(f"{result.id} logged in" + (f" as {result.account}" if result.account else ""))


def _check(settings: "Settings", credential_id: str, client: str) -> None:
    """Raises `Usage`."""
    from refreshd.domain.credential import CREDENTIAL_ID  # noqa: PLC0415

    if not CREDENTIAL_ID.fullmatch(credential_id):
        raise Usage(
            f"the id {credential_id[:140]!r} is not allowed: 1 to 128 characters, A-Z a-z 0-9 . _ @ : / -, the first a letter "
            "or digit"
        )
    if client not in settings.clients:
        names = ", ".join(sorted(settings.clients)) or "none"
        raise Usage(f"no client {client!r} is configured (there are: {names})")


def _enrol(settings: "Settings", credential_id: str, client: str, *, as_json: bool) -> None:
    """A client that asks for itself: no person, no browser; the daemon fetches the first token."""
    from refreshd.wiring.machines import enrol  # noqa: PLC0415

    with store_of(settings, create=True) as opened:
        added = enrol(settings, opened, credential_id, client, now=opened.clock.now()).added
        running = daemon_runs(settings)
    _say(f"client {client} asks for its tokens itself, so nobody has to log in")
    if not running:
        _say("no daemon runs on this store: `refreshd run` fetches the first token")
    if as_json:
        print_json({"id": credential_id, "client": client, "added": bool(added)})
    else:
        typer.echo(f"{credential_id} stored" if added else f"{credential_id} was stored before")


def _wish(
    settings: "Settings", credential_id: str, client: str, *, no_browser: bool, patience: timedelta
) -> "LoginWish":
    """Raises `Usage`."""
    from refreshd.domain.credential import ClientName, CredentialId  # noqa: PLC0415
    from refreshd.wiring.login import LoginImpossible, LoginWish, check_configured, waits_on_loopback  # noqa: PLC0415

    try:
        check_configured(settings, client)
    except LoginImpossible as exc:
        raise Usage(str(exc)) from exc
    pasted = no_browser or not waits_on_loopback(settings.clients[client])
    return LoginWish(
        id=CredentialId(credential_id),
        client=ClientName(client),
        patience=patience,
        paste_from=_input() if pasted else None,
    )


def _input() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError) as exc:  # closed by who started us
        raise Usage("standard input is closed, so nothing can be pasted into it") from exc


async def _login(settings: "Settings", opened: "OpenStore", wish: "LoginWish") -> "tuple[LoginResult, str]":
    from refreshd.cli.login_words import ignored  # noqa: PLC0415
    from refreshd.domain.login import LoggedIn  # noqa: PLC0415
    from refreshd.service.login import LoginTold  # noqa: PLC0415
    from refreshd.wiring.login import ready_login  # noqa: PLC0415

    pasted, opening = wish.paste_from is not None, contextlib.AsyncExitStack()
    heard: set[NotOurs] = set()

    def on_url(request: "AuthorizationRequest") -> None:
        _invite(request, wish)
        if not pasted:
            task = asyncio.create_task(_open(request.url), name="browser")
            opening.callback(task.cancel)

    def on_refused(refused: "NotOurs") -> None:
        if pasted or refused not in heard:  # a stranger must not fill the terminal
            _say(ignored(refused, pasted=pasted))
        heard.add(refused)

    def on_repeat(outcome: "Deferred") -> None:
        _say(f"the token endpoint could not take the code yet ({outcome.code}); once more")

    def on_store_failure(fault: str) -> None:
        _say(
            f"THE ANSWER IS NOT STORED YET ({fault}). It is tried again until it is: mend that, do not kill this process"
        )

    told = LoginTold(on_url=on_url, on_refused=on_refused, on_repeat=on_repeat)
    async with opening, ready_login(settings, opened, wish, told, on_store_failure=on_store_failure) as ready:
        _end_gently(ready.login.stop)
        result = await ready.login.run(ready.plan, ready.redirects)
        await ready.redirects.conclude(stored=isinstance(result, LoggedIn))
        return result, ready.redirects.redirect_uri


def _invite(request: "AuthorizationRequest", wish: "LoginWish") -> None:
    _say(f"Log in at this address, as the person whose credential {wish.id} is:\n\n  {request.url}\n")
    if wish.paste_from is None:
        _say(f"waiting at {request.redirect_uri}; Ctrl-C ends it")
    else:
        _say(
            f"The browser is then sent to {request.redirect_uri}, where it may find nothing. Copy that whole address from its "
            "address bar, paste it here (or the code alone) and press Enter:"
        )


async def _open(url: str) -> None:
    from refreshd.adapters.browser import open_browser  # noqa: PLC0415

    if not await open_browser(url):
        _say(
            "no browser could be opened here: open the address yourself. Is your browser on another machine? --no-browser"
        )


def _end_gently(stop: Callable[[], None]) -> None:
    """A signal ends the wait for a person; tokens that are on their way are stored first, also when the terminal is gone."""

    def on_signal() -> None:
        stop()
        _say("ending; an answer that is on its way is stored first")

    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            asyncio.get_running_loop().add_signal_handler(number, on_signal)


def _say(line: str) -> None:
    """A terminal that is gone must not keep tokens from being stored."""
    with contextlib.suppress(OSError):
        typer.echo(line, err=True)
