"""`token` and `refresh`: ask the running daemon through the store, and wait for what it does."""

import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from refreshd.cli.output import print_json, text
from refreshd.cli.session import Failed, daemon_runs, load_settings, seconds, store_of, view_of

if TYPE_CHECKING:
    from refreshd.adapters.sql.inventory import Inventory, View
    from refreshd.config import Settings
    from refreshd.domain.credential import AccessToken
    from refreshd.wiring.store import OpenStore

LOOK_EVERY = 0.1

Id = Annotated[str, typer.Argument(metavar="ID")]
Wait = Annotated[str, typer.Option("--wait", help="How long to wait for the daemon.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    app.command("token", short_help="Print the current access token, for scripts.")(token)
    app.command("refresh", short_help="Have one credential refreshed now.")(refresh)


def token(
    context: typer.Context,
    credential_id: Id,
    min_valid: Annotated[str, typer.Option("--min-valid", help="How much life it must have left.")] = "60s",
    wait: Wait = "30s",
    as_json: Json = False,
) -> None:
    """Print the current access token, for scripts. With too little life left, ask the daemon for a new one and wait."""
    settings = load_settings(context).settings
    least, patience = timedelta(seconds=seconds(min_valid)), seconds(wait)
    asker = os.getuid()  # before root becomes the store's owner
    with store_of(settings) as opened:
        view = view_of(opened.inventory, credential_id)
        if view.status != "active":
            raise Failed(f"{credential_id} is {view.status}{_because(view)}: it has no current access token")
        found = _usable(opened, credential_id, least)
        if found is None:
            _refuse_in_vain(opened, credential_id, least)
            found = _wait_for_token(opened, settings, credential_id, least, patience)
        from refreshd.adapters.audit_log import AuditLog  # noqa: PLC0415
        from refreshd.wiring.store import state_directory  # noqa: PLC0415

        AuditLog(state_directory(settings)).token_read(credential_id, by=asker, at=opened.clock.now())
    if as_json:
        print_json(
            {
                "access_token": found.value.reveal(),
                "token_type": found.token_type,
                "expires_at": int(found.expires_at.timestamp()) if found.expires_at else None,
            }
        )
    else:
        typer.echo(found.value.reveal())


def refresh(context: typer.Context, credential_id: Id, wait: Wait = "30s", as_json: Json = False) -> None:
    """Have one credential refreshed now and print what came of it."""
    settings = load_settings(context).settings
    patience = seconds(wait)
    with store_of(settings) as opened:
        before = view_of(opened.inventory, credential_id)
        if before.status in ("paused", "held"):
            raise Failed(f"{credential_id} is {before.status}{_because(before)}; it is not refreshed")
        if not daemon_runs(settings):
            raise Failed("no daemon runs on this store; start `refreshd run`")
        if not opened.inventory.mark_due(credential_id, now=opened.clock.now()) and before.attempt_started_at is None:
            raise Failed(
                f"{credential_id} waits for an answer in doubt or a confirmation until {text(before.next_attempt_at)}"
            )
        after = _wait_for_outcome(opened.inventory, before, patience)
    if as_json:
        print_json(
            {"id": after.id, "outcome": after.last_outcome, "code": after.last_code, "generation": after.generation}
        )
    else:
        typer.echo(f"{after.last_outcome}" + ("" if after.last_code in (None, "ok") else f" ({after.last_code})"))
    if after.last_outcome != "refreshed":
        raise Failed(f"{credential_id} was not refreshed: {after.last_code}")


def _wait_for_token(
    opened: "OpenStore", settings: "Settings", credential_id: str, least: timedelta, patience: float
) -> "AccessToken":
    if not daemon_runs(settings):
        raise Failed(
            f"{credential_id} has no access token with {_written(least)} left, and no daemon runs to fetch one"
        )
    opened.inventory.mark_due(credential_id, now=opened.clock.now())
    until = time.monotonic() + patience
    while time.monotonic() < until:
        time.sleep(LOOK_EVERY)
        found = _usable(opened, credential_id, least)
        if found is not None:
            return found
        _refuse_in_vain(opened, credential_id, least)
    view = view_of(opened.inventory, credential_id)
    last = f"; the last attempt came to {view.last_outcome} ({view.last_code})" if view.last_outcome else ""
    raise Failed(f"no access token of {credential_id} with {_written(least)} left within {patience:g} s{last}")


def _wait_for_outcome(inventory: "Inventory", before: "View", patience: float) -> "View":
    until = time.monotonic() + patience
    while time.monotonic() < until:
        time.sleep(LOOK_EVERY)
        after = view_of(inventory, before.id)
        if after.attempted_at != before.attempted_at and after.attempted_at is not None:
            return after
    raise Failed(f"{before.id} was not refreshed within {patience:g} s; `refreshd show {before.id}` tells its state")


def _usable(opened: "OpenStore", credential_id: str, least: timedelta) -> "AccessToken | None":
    found = opened.inventory.access_token(credential_id)
    if found is None or found.expires_at is None:
        return None
    left: timedelta = found.expires_at - opened.clock.now()
    return found if left >= least and left > timedelta(0) else None


def _refuse_in_vain(opened: "OpenStore", credential_id: str, least: timedelta) -> None:
    """A new token would live no longer than this one did, and a refresh for it would be spent in vain. Raises `Failed`."""
    found = opened.inventory.access_token(credential_id)
    if found is None or found.expires_at is None or found.expires_at - found.issued_at > least:
        return
    life = _written(timedelta(seconds=round((found.expires_at - found.issued_at).total_seconds())))
    raise Failed(
        f"the access tokens of {credential_id} live {life} from the moment they are issued, so none has {_written(least)} "
        "left; ask for less with --min-valid"
    )


def _written(length: timedelta) -> str:
    from refreshd.config.durations import format_duration  # noqa: PLC0415

    return format_duration(length)


def _because(view: "View") -> str:
    return f" ({view.reason})" if view.reason else ""
