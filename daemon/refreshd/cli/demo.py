"""`demo`: the real daemon against a local provider, visible at once."""

from typing import Annotated

import typer

from refreshd.cli.session import Usage, seconds


def register(app: typer.Typer) -> None:
    app.command("demo", short_help="Watch tokens being refreshed, with nothing to set up.")(demo)


def demo(
    credentials: Annotated[int, typer.Option("--credentials", min=1, max=1000, help="How many.")] = 6,
    lifetime: Annotated[str, typer.Option("--lifetime", help="Of an access token, 10s or more.")] = "20s",
    duration: Annotated[str | None, typer.Option("--for", help="End after this long with a summary.")] = None,
    redis_url: Annotated[
        str | None, typer.Option("--redis-url", help="A real Redis instead of the embedded one.")
    ] = None,
    provider_only: Annotated[
        bool, typer.Option("--provider-only", help="Only the local provider, for your own tests; see below.")
    ] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of --provider-only; 0 is any free one.")] = 0,
) -> None:
    """Watch tokens being refreshed live: real daemon, SQLite file, local provider with short-lived rotating tokens.

    With --for it exits 1 if any token was not refreshed in time or ever unreadable.

    With --provider-only it prints one JSON object (addresses, clients, secrets) and serves a strict OAuth provider on
    loopback until SIGTERM: each refresh token works once. Its control address mints logins and causes faults.
    """
    life = seconds(lifetime)
    if provider_only:
        raise typer.Exit(_serve_provider(port, life))
    if port:
        raise Usage("--port belongs to --provider-only")
    from refreshd.demo.run import run_demo  # noqa: PLC0415

    if life < 10:  # noqa: PLR2004 - the shortest that leaves room for a margin and two scans
        raise Usage("--lifetime must be at least 10s")
    limit = seconds(duration) if duration is not None else None
    raise typer.Exit(run_demo(credentials=credentials, lifetime=life, limit=limit, redis_url=redis_url))


def _serve_provider(port: int, lifetime: float) -> int:
    from refreshd.demo.provider_only import run_provider_only  # noqa: PLC0415

    if lifetime < 1:
        raise Usage("--lifetime must be at least 1s")
    return run_provider_only(port=port, lifetime=lifetime)
