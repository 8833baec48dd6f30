"""`keys list`, `keys rotate`, `keys prune`: from one encryption key to the next without a pause."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from refreshd.cli.output import print_json, print_table
from refreshd.cli.session import Failed, daemon_runs, load_settings, seconds, store_of
from refreshd.domain.refusal import Refusal

if TYPE_CHECKING:
    from refreshd.config import Settings
    from refreshd.wiring.store import OpenStore

LOOK_EVERY = 1.0
HINT_AFTER = 10.0
RESTART_TAKES = 30.0
_BACKUPS = (
    "A copy of the store from before needs it for as long as you keep that copy; so keep the key, away from the store"
)
_NOT_TAKEN_UP = (
    "the running daemon has not taken up the new key: its log says keys.ring_refused and why, or keys.waits_for_replicas (bring "
    "the ring to the others), or its key ring is a copy (systemd's LoadCredential, a Kubernetes Secret): then restart it, and it "
    "goes on by itself"
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_(context: typer.Context, as_json: Json = False) -> None:
    """The keys of the ring, how many rows rest under each, and which are needed no more."""
    settings = load_settings(context).settings
    with store_of(settings) as opened:
        rows = _rows(opened)
        first = opened.sealer.primary_key_id
    states = {key: _state(key, first, count) for key, count in rows.items()}
    if as_json:
        for key, count in rows.items():
            print_json({"key_id": key, "rows": count, "state": states[key]})
        return
    print_table(("KEY", "ROWS", "STATE"), ((key, count, states[key]) for key, count in rows.items()))


def rotate(
    context: typer.Context,
    wait: Annotated[str, typer.Option("--wait", help="How long to wait until all is sealed anew.")] = "10m",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Change the ring and leave the rest to the daemon.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Add a key although rows still rest under older ones.")
    ] = False,
) -> None:
    """Seal everything with a new key, while the daemon runs. Interrupted, it goes on where it was when run again."""
    from refreshd.adapters.key_ring_editing import add_key  # noqa: PLC0415

    patience = seconds(wait)
    settings = load_settings(context).settings
    ring = settings.store.encryption_key_file
    with store_of(settings) as opened:
        first = opened.sealer.primary_key_id
        older = sum(count for key, count in _rows(opened).items() if key != first)
        if older and not again:
            typer.echo(f"a rotation is under way: {older} rows still rest under older keys than {first}", err=True)
            _follow(settings, opened, None if no_wait else patience)
            return
        typer.echo(f"new key {add_key(ring)}, above {first} in {ring}; copy the key ring now", err=True)
    with store_of(settings) as opened:  # reads the ring anew, and lets the store know the key
        _follow(settings, opened, None if no_wait else patience)


def prune(context: typer.Context) -> None:
    """Move keys that no row needs out of the ring, into the file beside it that ends in .retired."""
    from refreshd.adapters.key_ring_editing import retire_keys  # noqa: PLC0415

    settings = load_settings(context).settings
    with store_of(settings) as opened:
        spent = opened.retirement.retire(daemon=daemon_runs(settings), ring=tuple(_rows(opened)))
        if not spent:
            typer.echo("no key can be removed: rows rest under each of them", err=True)
            return
        retired = retire_keys(settings.store.encryption_key_file, spent)
    typer.echo(f"{len(spent)} removed: {', '.join(spent)}")
    typer.echo(f"kept in {retired}. {_BACKUPS}", err=True)


def _follow(settings: "Settings", opened: "OpenStore", patience: float | None) -> None:
    if patience is None:
        typer.echo("the daemon moves all rows to it; `refreshd keys list` shows how far it is", err=True)
        return
    _move(settings, opened, patience)
    _tell_removable(opened)


def _move(settings: "Settings", opened: "OpenStore", patience: float) -> None:
    """Watch the daemon move the rows; without one, move them. Raises `Failed` when the time is up."""
    first = opened.sealer.primary_key_id
    progress = _Progress(time.monotonic(), patience, daemon=daemon_runs(settings))
    while True:
        runs = daemon_runs(settings)
        left = sum(count for key, count in _rows(opened).items() if key != first)
        taken_up = opened.retirement.daemon_key_id() == first
        progress.tell(left, waits_for_daemon=runs and not taken_up)
        if not left and (taken_up or not runs):
            return
        if progress.daemon_is_gone(time.monotonic(), runs=runs) and _move_alone(settings, opened):
            unreadable = sum(count for key, count in _rows(opened).items() if key != first)
            if unreadable:
                raise Failed(f"{unreadable} rows cannot be opened with any key and stay under the old one")
        elif progress.is_late(time.monotonic()):
            why = (
                f"{left} rows are left; the daemon goes on, `refreshd keys list` shows how far it is. If the number stays, no "
                "key opens these rows, and its log says keys.rows_unreadable"
            )
            raise Failed(f"after {patience:g} s {why if taken_up else _NOT_TAKEN_UP}")
        else:
            time.sleep(LOOK_EVERY)


class _Progress:
    """What was said so far, and since when nobody moves anything."""

    def __init__(self, began: float, patience: float, *, daemon: bool) -> None:
        self._began = began
        self._until = began + patience
        self._seen = began if daemon else float("-inf")
        self._told: int | None = None
        self._hinted = False

    def tell(self, left: int, *, waits_for_daemon: bool) -> None:
        if left != self._told:
            self._told = left
            typer.echo(f"{left} rows left under older keys", err=True)
        if waits_for_daemon and not self._hinted and time.monotonic() - self._began > HINT_AFTER:
            self._hinted = True
            typer.echo(_NOT_TAKEN_UP, err=True)

    def daemon_is_gone(self, now: float, *, runs: bool) -> bool:
        """One that is just being restarted must find its place free: refreshing comes first."""
        if runs:
            self._seen = now
        return now - self._seen > RESTART_TAKES

    def is_late(self, now: float) -> bool:
        return now >= self._until


def _move_alone(settings: "Settings", opened: "OpenStore") -> bool:
    """As no daemon runs, in its place: with its lock, so that none starts meanwhile. False when one was quicker."""
    from refreshd.ports.store import StoreUnavailable  # noqa: PLC0415
    from refreshd.wiring.background import reseal  # noqa: PLC0415
    from refreshd.wiring.store import run_lock  # noqa: PLC0415

    with ExitStack() as stack:
        try:
            stack.enter_context(run_lock(settings))
        except Refusal:
            return False
        typer.echo("no daemon runs: moving the rows here; one that is started meanwhile is refused", err=True)
        try:
            asyncio.run(reseal(opened))
        except StoreUnavailable as exc:
            raise Failed(f"the store cannot be used: {exc}. What was moved stays moved; run it again") from exc
    return True


def _tell_removable(opened: "OpenStore") -> None:
    first = opened.sealer.primary_key_id
    spent = [key for key, count in _rows(opened).items() if not count and key != first]
    if spent:
        typer.echo(f"{', '.join(spent)} can be removed from the ring: `refreshd keys prune`. {_BACKUPS}")


def _state(key: str, first: str, count: int) -> str:
    if key == first:
        return "primary"
    return "in use" if count else "removable"


def _rows(opened: "OpenStore") -> Mapping[str, int]:
    """Rows by key, every key of the ring named, in the ring's order."""
    return {**dict.fromkeys(opened.sealer.key_ids, 0), **opened.retirement.rows_by_key()}
