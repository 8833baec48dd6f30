"""`run`, the daemon in the foreground, and `healthcheck`."""

import asyncio
import os
import signal
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, NoReturn

import typer

from refreshd.cli.session import Failed, load_settings

if TYPE_CHECKING:
    from refreshd.config import Settings
    from refreshd.wiring.store import OpenStore


_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def register(app: typer.Typer) -> None:
    app.command("run", short_help="Run the daemon in the foreground.")(run)
    app.command("healthcheck", short_help="Exit 0 when the local daemon is live.")(healthcheck)


def run(context: typer.Context) -> None:
    """Run the daemon in the foreground until SIGTERM, SIGINT or a hangup, then drain."""
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _stop_starting)
    loaded = load_settings(context)
    settings = loaded.settings
    from refreshd.adapters.process import forbid_core_dumps, shorten_pauses  # noqa: PLC0415
    from refreshd.adapters.structlog_observer import configure_logging, log_lines  # noqa: PLC0415
    from refreshd.ports.store import StoreUnavailable  # noqa: PLC0415
    from refreshd.wiring.store import open_store, run_lock  # noqa: PLC0415

    configure_logging(format=settings.log.format, level=settings.log.level)
    forbid_core_dumps()
    for warning in loaded.warnings:
        log_lines().warning("config.warning", text=warning)
    with run_lock(settings), open_store(settings, upgrade=True, create=True) as opened:
        if opened.migrated.copy:
            log_lines().warning(
                "store.migrated", copy=str(opened.migrated.copy), text="keep the copy, never start from it"
            )
        shorten_pauses()
        try:
            code = asyncio.run(_run(settings, opened))
        except StoreUnavailable as exc:
            raise Failed(f"the store cannot be used: {exc}") from exc
    raise typer.Exit(code)


async def _run(settings: "Settings", opened: "OpenStore") -> int:
    from refreshd.wiring.daemon import daemon  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    async with daemon(settings, opened, os.environ) as supervisor:
        for number in _STOPS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                loop.add_signal_handler(number, supervisor.stop, number.name)
        code = await supervisor.run()
    _stay_deaf(loop)
    return code


def _stay_deaf(loop: asyncio.AbstractEventLoop) -> None:
    """The drain is over: a further signal must not turn an orderly end into a killed one, as the loop's end would let it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # between the two lines below it would kill
    for number in _STOPS:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def _stop_starting(_number: int, _frame: object) -> NoReturn:
    """Before the drain can be asked for nothing was sent. As process 1 of a container the signal would else be ignored."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)  # once is enough: a second one would kill what is being closed
    raise SystemExit(0)


def healthcheck(context: typer.Context) -> None:
    """Exit 0 when the local daemon is live; for container probes without curl."""
    listen = load_settings(context).settings.http.listen
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104 - compared, not bound
    url = f"http://{f'[{host}]' if ':' in host else host}:{listen.port}/livez"
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=3) as answer:
            live = answer.status == 200  # noqa: PLR2004 - OK
    except urllib.error.HTTPError as exc:
        raise Failed(f"the daemon at {url} is not live (it answered {exc.code})") from exc
    except OSError as exc:
        raise Failed(f"no daemon answers at {url}; is `refreshd run` running with this configuration?") from exc
    if not live:
        raise Failed(f"the daemon at {url} is not live")
