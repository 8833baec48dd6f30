"""`demo`: the real daemon against a local provider, visible at once."""

from typing import Annotated

import typer

from refreshd.cli.session import Usage, seconds


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    credentials: Annotated[int, typer.Option("--credentials", min=1, max=1000, help="How many.")] = 6,
    lifetime: Annotated[str, typer.Option("--lifetime", help="Of an access token, 10s or more.")] = "20s",
    duration: Annotated[str | None, typer.Option("--for", help="End after this long with a summary.")] = None,
    redis_url: Annotated[
        str | None, typer.Option("--redis-url", help="A real Redis instead of the embedded one.")
    ] = None,
) -> None:
    """Watch tokens being refreshed live: real daemon, SQLite file, local provider with short-lived rotating tokens.

    With --for it exits 1 if any token was not refreshed in time or ever unreadable.
    """
    from refreshd.demo.run import run_demo  # noqa: PLC0415

    life = seconds(lifetime)
    if life < 10:  # noqa: PLR2004 - the shortest that leaves room for a margin and two scans
        raise Usage("--lifetime must be at least 10s")
    limit = seconds(duration) if duration is not None else None
    raise typer.Exit(run_demo(credentials=credentials, lifetime=life, limit=limit, redis_url=redis_url))
