"""systemd's notify protocol over a real datagram socket."""

import os
import socket
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.systemd import SystemdNotifier
from refreshd.domain.credential import ClientName
from refreshd.domain.events import DaemonDraining, DaemonReady, Event, FiguresTaken, ScanFinished, StoreFailed
from refreshd.domain.figures import ClientFigures, Figures
from tests.fakes import START

FIGURES = Figures(
    clients={
        ClientName("a"): ClientFigures(by_status={"active": 3, "paused": 1}),
        ClientName("b"): ClientFigures(by_status={"active": 2}),
    },
    due=4,
    overdue=timedelta(0),
    publish_pending=0,
    rows_by_key={},
    last_commit_at=None,
)


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        self.socket.settimeout(0)

    def messages(self) -> list[str]:
        found = []
        try:
            while True:
                found.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return found


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    name = str(tmp_path / "n") if request.param == "path" else f"@refreshd-test-{os.getpid()}"
    one = Manager(name)
    yield one
    one.socket.close()


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (DaemonReady(listen="127.0.0.1:9847"), "READY=1\nSTATUS=ready, listening on 127.0.0.1:9847"),
        (DaemonDraining(cause="SIGTERM", in_flight=3), "STOPPING=1\nSTATUS=draining, 3 requests in flight"),
        (FiguresTaken(figures=FIGURES), "STATUS=6 credentials, 4 due"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_state_is_one_message(manager: Manager, event: Event, message: str) -> None:
    """Ready, stopping, and a line for `systemctl status`."""
    SystemdNotifier({"NOTIFY_SOCKET": manager.name}).on_event(event)
    assert [message] == manager.messages()


def test_the_watchdog_is_fed_by_its_own_call_alone(manager: Manager) -> None:
    """An event says that something happened, not that the loop comes round: a failing store must not feed the watchdog."""
    notifier = SystemdNotifier({"NOTIFY_SOCKET": manager.name})
    notifier.on_event(ScanFinished(at=START, claimed=0))
    notifier.on_event(StoreFailed(doing="commit", error="full"))
    assert [] == manager.messages()
    notifier.alive()
    assert ["WATCHDOG=1"] == manager.messages()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nonexistent/socket"}])
def test_without_a_manager_it_is_silent(environ: dict[str, str]) -> None:
    """Started by hand, or the manager went away: no exception, nothing to wait for."""
    SystemdNotifier(environ).on_event(DaemonReady(listen="x"))


def test_a_manager_that_does_not_read_blocks_nobody(manager: Manager) -> None:
    """A full socket buffer loses a ping rather than the event loop."""
    notifier = SystemdNotifier({"NOTIFY_SOCKET": manager.name})
    for _ in range(2000):
        notifier.alive()
    assert {"WATCHDOG=1"} == set(manager.messages())
