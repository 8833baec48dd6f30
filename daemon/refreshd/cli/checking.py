"""`check`: whether configuration, store and Redis are fit to run with, and what would not go well."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from refreshd.cli.output import print_json, print_table
from refreshd.cli.session import Failed, load_settings, store_of
from refreshd.domain.secret import Secret

if TYPE_CHECKING:
    from refreshd.adapters.sql.inventory import Inventory
    from refreshd.config import Settings
    from refreshd.domain.live_check import Finding
    from refreshd.wiring.redis import RedisReport
    from refreshd.wiring.store import OpenStore

PLACEHOLDERS = ("REPLACE-ME", "YOUR-CLIENT-ID")  # of our examples


def register(app: typer.Typer) -> None:
    app.command("check", short_help="Say whether configuration, store and Redis are fit.")(check)


def check(
    context: typer.Context,
    live: Annotated[
        bool,
        typer.Option("--live", help="Also ask each client's provider whether it knows id and secret; spends nothing."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Validate the configuration, reach store and Redis, and say what would not go well.

    With --live each client's provider is asked, all at once: its metadata if an issuer is configured, then for a token, with
    a made-up refresh token that it must refuse, and once more with a made-up secret to see whether it minds.
    """
    loaded = load_settings(context)
    settings = loaded.settings
    store = _store(settings)
    redis = _redis(settings, store.id)
    notes = [*loaded.warnings, *_notices(settings), *store.notes, *redis.notes]
    faults = [*_unfilled(settings), *store.faults, *redis.faults]
    findings = _live(settings) if live else []
    unfit = [one for one in findings if one.is_fault]
    if as_json:
        answer: dict[str, object] = {
            "config": str(loaded.path) if loaded.path else None,
            "notes": notes,
            "faults": [*faults, *(f"client {one.client}: {one.text}" for one in unfit)],
        }
        print_json(answer | {"clients": [dataclasses.asdict(one) for one in findings]} if live else answer)
    else:
        typer.echo(f"configuration: {loaded.path or 'defaults (no file found)'}")
        typer.echo(f"clients: {', '.join(sorted(settings.clients)) or 'none'}")
        typer.echo(f"store: {'none yet' if store.id is None else f'{store.credentials} credentials'}")
        for note in notes:
            typer.echo(f"note: {note}")
        if findings:
            print_table(
                ("CLIENT", "RESULT", "WHAT", "MEND"),
                ((one.client, one.verdict, one.text, one.mend) for one in findings),
            )
    if unfit:
        faults.append(f"not every client can be used, see above: {', '.join(one.client for one in unfit)}")
    if faults:
        raise Failed("; ".join(faults))
    if not as_json:
        typer.echo("ok")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """What was found in it. `id` None: there is none yet."""

    id: str | None = None
    credentials: int = 0
    notes: Sequence[str] = ()
    faults: Sequence[str] = ()


def _store(settings: "Settings") -> _Store:
    """Looks, and makes none: `run` does, as the user that it runs as."""
    from refreshd.adapters.sql.engine import StoreMissing  # noqa: PLC0415

    try:
        with store_of(settings) as opened:
            stored = opened.inventory.clients()
            return _Store(
                id=opened.identity.store_id,
                credentials=sum(stored.values()),
                notes=[
                    *_workload(settings, stored),
                    *_storms(opened.inventory),
                    *_unread(settings, opened),
                ],
                faults=[
                    f"{number} credentials belong to client {name!r}, which is not configured: they are not refreshed"
                    for name, number in stored.items()
                    if name not in settings.clients
                ],
            )
    except StoreMissing as exc:
        return _Store(notes=[str(exc), *_unread(settings, None)])


def _unfilled(settings: "Settings") -> list[str]:
    """What loads, and cannot work."""
    if not settings.clients:
        return [
            "no client is configured, so nothing can be refreshed; add [clients.NAME], or let `refreshd init` begin"
        ]
    return [
        f"clients.{name}.{key} is still a placeholder; write what the provider gave to your registration"
        for name, client in settings.clients.items()
        for key, value in (("client_id", client.client_id), ("client_secret", client.client_secret))
        if (value.reveal() if isinstance(value, Secret) else value) in PLACEHOLDERS
    ]


def _live(settings: "Settings") -> Sequence["Finding"]:
    import asyncio  # noqa: PLC0415

    from refreshd.wiring.live_check import check_live  # noqa: PLC0415

    return asyncio.run(check_live(settings))


def _notices(settings: "Settings") -> list[str]:
    profiles = (client.provider_profile for client in settings.clients.values())
    return sorted({profile.notice for profile in profiles if profile.notice})


def _workload(settings: "Settings", stored: dict[str, int]) -> list[str]:
    from refreshd.wiring.registrations import rate_shortfalls  # noqa: PLC0415

    return [
        f"client {name}: {stored[name]} credentials need {needed:.2f} refreshes a second, max_rate allows {limit:g}"
        for name, needed, limit in rate_shortfalls(settings, stored)
    ]


def _unread(settings: "Settings", opened: "OpenStore | None") -> list[str]:
    from refreshd.wiring.discovery import resolve_offline  # noqa: PLC0415

    known = {name: resolve_offline(settings, opened, name).endpoints for name in settings.clients}
    return [
        f"client {name}: nothing was read of {one.issuer} yet; `refreshd check --live` shows whether it can be"
        for name, one in known.items()
        if not one.token
    ]


def _redis(settings: "Settings", store_id: str | None) -> "RedisReport":
    import asyncio  # noqa: PLC0415

    from refreshd.wiring.redis import check_redis  # noqa: PLC0415

    return asyncio.run(check_redis(settings.redis, store_id))


def _storms(inventory: "Inventory") -> list[str]:
    return [
        f"client {name}: a grant storm is under way, so many credentials are refused that nobody is asked to log in; "
        f"look at the provider, then `refreshd resume --client {name}`"
        for name in sorted(inventory.storms())
    ]
