"""What a daemon says of itself over HTTP, and waiting for it."""

import re
import time
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.programme.daemons.processes import Process

_SECONDS = 5.0
_AGAIN = 0.05


def url_of(process: Process) -> str:
    """Where a daemon that has said that it is ready listens."""
    return f"http://{process.events('daemon.ready')[0]['listen']}"


def metric(url: str, name: str) -> float:
    """One sample without labels; -1 when there is none, or nobody answers."""
    try:
        with urlopen(f"{url}/metrics", timeout=_SECONDS) as answer:
            found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    except OSError:
        found = None
    return float(found[1]) if found else -1.0


def status(url: str, *, seconds: float = _SECONDS) -> int:
    """The status of one GET; 0 when nobody answers in time."""
    code = 0
    try:
        with urlopen(url, timeout=seconds) as answer:
            code = answer.status
    except HTTPError as refusal:
        with refusal:
            code = refusal.code
    except OSError:
        pass
    return code


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition comes to hold within that time."""
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(_AGAIN)
    return holds
