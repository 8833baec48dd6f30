"""What is set for the whole process: it leaves no core dump, which would hold tokens, and its threads do not hold each other up."""

import contextlib
import ctypes
import gc
import resource
import sys

_PR_SET_DUMPABLE = 4
SWITCH_SECONDS = 0.0005
YOUNG_OBJECTS = 20_000


def forbid_core_dumps() -> None:
    """A limit of 1 also stops a piped core handler, which 0 does not; systemd's watchdog kills with SIGABRT."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (1 if hard == resource.RLIM_INFINITY or hard >= 1 else 0, hard))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def shorten_pauses() -> None:
    """Call once, when all that lives as long as the process has been imported.

    The event loop gives up the interpreter at every write to a socket, and gets it back from a busy thread of the store only after
    the switch interval, 5 ms by default. A full collection goes through every object, for 60 ms most of them imported code.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
