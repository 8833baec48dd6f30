"""`remove`: erase credentials, and with --revoke have their logins ended at the provider."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from refreshd.cli.session import Failed, Usage, daemon_runs, demand, load_settings, seconds, selection, store_of

if TYPE_CHECKING:
    from refreshd.adapters.sql.inventory import Inventory
    from refreshd.config import Settings
    from refreshd.wiring.store import OpenStore

LOOK_EVERY = 0.1


def register(app: typer.Typer) -> None:
    app.command("remove", short_help="Erase credentials with all their tokens.")(remove)


def remove(
    context: typer.Context,
    credential_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The credential.")] = None,
    client: Annotated[str | None, typer.Option("--client", help="All credentials of this client.")] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="End the logins at the provider, too (RFC 7009).")] = False,
    wait: Annotated[
        str | None, typer.Option("--wait", help="With --revoke: how long to wait for the daemon; 0s: not at all.")
    ] = None,
) -> None:
    """Erase credentials with all their tokens. A login lost this way needs a person to log in again."""
    chosen = selection(credential_id, client)
    if wait is not None and not revoke:
        raise Usage("--wait stands with --revoke")
    patience = seconds(wait or "30s")
    settings = load_settings(context).settings
    with store_of(settings) as opened:
        inventory = opened.inventory
        demand(settings, inventory, chosen)
        if not revoke:
            typer.echo(f"{inventory.remove(chosen, now=opened.clock.now())} removed")
            return
        _check_endpoints(settings, opened, inventory.clients_of(chosen))
        asked_at = opened.clock.now()
        removed, queued = inventory.remove_to_revoke(chosen, now=asked_at)
        typer.echo(f"{removed} removed")
        if not queued:
            typer.echo("nothing to revoke: no refresh token was stored", err=True)
        elif patience:
            _wait(settings, inventory, asked_at, patience)
        else:
            typer.echo(f"{queued} refresh tokens are to be revoked by the daemon", err=True)


def _check_endpoints(settings: "Settings", opened: "OpenStore", clients: Iterable[str]) -> None:
    """Raises `Failed` before anything is removed."""
    from refreshd.wiring.discovery import resolve_offline  # noqa: PLC0415

    for name in sorted(clients):
        if name not in settings.clients:
            raise Failed(f"client {name!r} is not configured, so nothing of it can be revoked. Nothing was removed")
        if resolve_offline(settings, opened, name).endpoints.revocation is None:
            raise Failed(
                f"the provider of client {name!r} has no revocation_endpoint, so nothing can be revoked there and nothing "
                "was removed. Without --revoke the credentials are erased here; end the login at the provider itself"
            )


def _wait(settings: "Settings", inventory: "Inventory", asked_at: datetime, patience: float) -> None:
    """Raises `Failed` unless every token is revoked by the end."""
    left, given_up = inventory.unrevoked(asked_at=asked_at)
    until = time.monotonic() + patience
    while left and daemon_runs(settings) and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
        left, given_up = inventory.unrevoked(asked_at=asked_at)
    if given_up:
        raise Failed(
            f"{len(given_up)} refresh tokens were not revoked ({', '.join(sorted(set(given_up)))}): these logins may live "
            "on; end them at the provider itself"
        )
    if left and not daemon_runs(settings):
        raise Failed(f"{left} refresh tokens are not revoked yet, as no daemon runs; the next `refreshd run` does it")
    if left:
        raise Failed(
            f"{left} refresh tokens are not revoked yet within {patience:g} s: the provider does not answer, or an answer "
            "under way is awaited first. The daemon goes on for a day; its log says credential.revoked for each"
        )
    typer.echo("revoked at the provider", err=True)
