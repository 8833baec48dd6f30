"""How a component's process is ended: asked first, killed if it does not go, and always awaited, so that none is left behind."""

import signal
import subprocess
from typing import AnyStr


def end(process: subprocess.Popen[AnyStr], how: signal.Signals = signal.SIGTERM, *, within: float) -> None:
    """Send `how`, and SIGKILL after `within` seconds. Raises `subprocess.TimeoutExpired` if even that takes as long again."""
    process.send_signal(how)
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(within)
