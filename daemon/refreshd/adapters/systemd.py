"""systemd's notify protocol as an observer: ready and stopping; and the watchdog's ping, which means as much as `/livez`."""

import contextlib
import socket
from collections.abc import Mapping

from refreshd.domain.events import DaemonDraining, DaemonReady, Event, FiguresTaken


class SystemdNotifier:
    """Silent when `$NOTIFY_SOCKET` is not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name  # @ stands for the abstract namespace

    def on_event(self, event: Event) -> None:
        match event:
            case DaemonReady():
                self._notify(f"READY=1\nSTATUS=ready, listening on {event.listen}")
            case DaemonDraining():
                self._notify(f"STOPPING=1\nSTATUS=draining, {event.in_flight} requests in flight")
            case FiguresTaken(figures=figures):
                stored = sum(sum(one.by_status.values()) for one in figures.clients.values())
                self._notify(f"STATUS={stored} credentials, {figures.due} due")
            case _:
                pass

    def alive(self) -> None:
        """To be called while the daemon is live, also when nothing can be scanned: a full pool, a failing store, a drain."""
        self._notify("WATCHDOG=1")

    def _notify(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(0)
            out.sendto(text.encode(), self._address)
