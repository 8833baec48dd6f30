"""Ports for components that must be able to come back on the same port."""

import contextlib
import random
import socket
from pathlib import Path

_FIRST = 10_000
_EPHEMERAL_FLOOR = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 100


def free_port() -> int:
    """A TCP port free on loopback, below the kernel's ephemeral range where the range is known.

    Outside that range no outgoing connection takes the port while its component is down, and no client that
    knocks on a stopped component connects to itself.
    """
    last = _ephemeral_floor() - 1
    for _ in range(_TRIES):
        port = random.randint(_FIRST, last)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port between {_FIRST} and {last} in {_TRIES} tries")


def _ephemeral_floor() -> int:
    try:
        floor = int(_EPHEMERAL_FLOOR.read_text().split()[0])
    except OSError:
        return 32_768
    return floor if floor > _FIRST + _TRIES else 65_535
