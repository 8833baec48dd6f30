"""`list`, `show`, `history`, and the operator's switches `pause`, `resume`, `adopt`. Never a token."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from refreshd.cli.output import print_facts, print_json, print_table
from refreshd.cli.session import Failed, Usage, demand, demand_client, load_settings, selection, store_of, view_of
from refreshd.domain.client import GrantType

if TYPE_CHECKING:
    from refreshd.adapters.sql.inventory import Inventory, View

STATUSES = ("active", "relogin_required", "paused", "held")
PAGE = 1000

Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="The credential.")]
Client = Annotated[str | None, typer.Option("--client", help="All credentials of this client.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    app.command("list", short_help="Show what is stored and its state.")(list_)
    app.command("show", short_help="Show everything about one credential but its tokens.")(show)
    app.command("history", short_help="Show every attempt of the last 90 days.")(history)
    app.command("pause", short_help="Stop refreshing; take the token out of Redis.")(pause)
    app.command("resume", short_help="Take up again what was paused.")(resume)
    app.command("adopt", short_help="End a hold, with the refresh token that is stored.")(adopt)


def list_(
    context: typer.Context,
    client: Client = None,
    status: Annotated[str | None, typer.Option("--status", help=f"One of {', '.join(STATUSES)}.")] = None,
    as_json: Json = False,
) -> None:
    """What is stored, its state, when it is refreshed next, by when a person must log in."""
    if status is not None and status not in STATUSES:
        raise Usage(f"--status {status!r} is not one of {', '.join(STATUSES)}")
    settings = load_settings(context).settings
    with store_of(settings) as opened:
        if client is not None:
            demand_client(settings, opened.inventory, client)
        views = _pages(opened.inventory, client, status)
        if as_json:
            for view in views:
                print_json(_listed(view))
        else:
            columns = ("ID", "CLIENT", "STATUS", "EXPIRES", "NEXT ATTEMPT", "LOG IN BY", "NOTES")
            print_table(columns, (_row(view) for view in views))


def show(
    context: typer.Context,
    credential_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: Json = False,
) -> None:
    """Everything about one credential but its tokens."""
    settings = load_settings(context).settings
    with store_of(settings) as opened:
        view = view_of(opened.inventory, credential_id)
    facts = dataclasses.asdict(view)
    if as_json:
        print_json(facts)
        return
    proven = facts.pop("lifetime_proven_sliding")
    facts["refresh token's life"] = _refresh_life(view.grant, proven=proven)
    print_facts({name.replace("_", " "): value for name, value in facts.items()})


def history(
    context: typer.Context,
    credential_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: Json = False,
) -> None:
    """Every attempt of the last 90 days, newest first: the evidence when a provider disputes.

    PHASE says how far it came: unsent, sent, answered; claimed where the process ended and nobody knows.
    """
    settings = load_settings(context).settings
    with store_of(settings) as opened:
        view_of(opened.inventory, credential_id)
        entries = opened.inventory.history(credential_id)
    if as_json:
        for entry in entries:
            print_json(dataclasses.asdict(entry))
        return
    columns = ("STARTED", "TOOK", "GENERATION", "PHASE", "OUTCOME", "CODE", "OWNER")
    print_table(
        columns,
        (
            (
                one.started_at,
                _seconds(one.started_at, one.ended_at),
                one.generation,
                one.phase,
                one.outcome,
                one.code,
                one.owner,
            )
            for one in entries
        ),
    )


def pause(context: typer.Context, credential_id: Id = None, client: Client = None) -> None:
    """Stop refreshing and take the token out of Redis; what is stored stays."""
    _switch(context, credential_id, client, "pause")


def resume(context: typer.Context, credential_id: Id = None, client: Client = None) -> None:
    """Take up again what was paused. With --client, in a grant storm: end that, its refusals are believed from now on."""
    _switch(context, credential_id, client, "resume")


def adopt(
    context: typer.Context,
    credential_id: Id = None,
    client: Client = None,
    every: Annotated[
        bool, typer.Option("--all", help="All that is held; also take over another store's keys in Redis.")
    ] = False,
) -> None:
    """End a hold: present the stored refresh token although something newer was published. At worst it ends the login.

    Only for a store that is known to be the right one: never after starting from a backup that a live daemon has outrun.
    """
    if every and (credential_id is not None or client is not None):
        raise Usage("--all stands alone")
    chosen = None if every else selection(credential_id, client)
    settings = load_settings(context).settings
    with store_of(settings) as opened:
        if chosen is not None:
            demand(settings, opened.inventory, chosen)
        adopted = opened.inventory.adopt(chosen, now=opened.clock.now())
        if every:
            opened.inventory.adopt_keys(now=opened.clock.now())
    if not adopted and not every:
        raise Failed("nothing of that is held; `refreshd list --status held` shows what is")
    typer.echo(f"{adopted} adopted")
    if every:
        typer.echo(
            "for the next 10 minutes the daemon takes over another store's keys in Redis, if it finds any", err=True
        )


def _switch(context: typer.Context, credential_id: str | None, client: str | None, verb: str) -> None:
    chosen = selection(credential_id, client)
    settings = load_settings(context).settings
    with store_of(settings) as opened:
        inventory = opened.inventory
        demand(settings, inventory, chosen)
        act = {"pause": inventory.pause, "resume": inventory.resume}[verb]
        if verb == "resume" and client is not None and inventory.end_storm(client, now=opened.clock.now()):
            typer.echo(
                f"the grant storm of {client} is over. What is paused stays paused; say it again to resume that",
                err=True,
            )
            return
        changed = act(chosen, now=opened.clock.now())
    done = {"pause": "paused", "resume": "resumed"}[verb]
    typer.echo(f"{changed} {done}")


def _pages(inventory: "Inventory", client: str | None, status: str | None) -> Iterator["View"]:
    after = ""
    while page := inventory.views(client=client, status=status, after=after, limit=PAGE):
        yield from page
        after = page[-1].id


def _refresh_life(grant: str, *, proven: bool) -> str:
    if grant == GrantType.CLIENT_CREDENTIALS:
        return "there is none: the client asks for its tokens with its own secret, nobody has to log in"
    if proven:
        return "counts from the last rotation (proven by a refresh past the login's deadline)"
    return "as configured for the provider"


def _seconds(began: datetime, ended: datetime | None) -> str | None:
    return None if ended is None else f"{(ended - began).total_seconds():.3f}s"


def _row(view: "View") -> tuple[object, ...]:
    notes = [
        name
        for name, on in (
            ("in doubt", view.in_doubt),
            ("log in soon", view.relogin_soon),
            (view.reason or "", view.reason is not None),
            ("no login needed", view.grant == GrantType.CLIENT_CREDENTIALS),
            (f"{view.failures} failures", view.failures > 0),
            (f"{view.rejections} rejections", view.rejections > 0 and view.status == "active"),
        )
        if on
    ]
    next_attempt = "now" if view.attempt_started_at else view.next_attempt_at
    return (
        view.id,
        view.client,
        view.status,
        view.expires_at,
        next_attempt,
        view.relogin_by,
        ", ".join(notes) or "-",
    )


def _listed(view: "View") -> dict[str, object]:
    facts = dataclasses.asdict(view)
    names = (
        "id",
        "client",
        "status",
        "reason",
        "in_doubt",
        "relogin_soon",
        "relogin_by",
        "expires_at",
        "next_attempt_at",
        "generation",
        "failures",
        "rejections",
        "grant",
    )
    return {name: facts[name] for name in names}
