"""A process that has imported the product and nothing else, and becomes it on request: `python -m ….zygote`.

Starting the installed command costs most of a second of imports, which a programme of ten thousand kills cannot pay. A fork of
this process starts in milliseconds and runs the same `main`. It has one thread and never ran an event loop, so nothing is
inherited that a fresh start would not have. One JSON object a line comes in, one goes out.
"""

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import threading
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_LOADED_LATE = (
    "alembic.command",
    "alembic.config",
    "alembic.runtime.environment",
    "apscheduler.schedulers.asyncio",
    "refreshd.adapters.process",
    "refreshd.adapters.sql.importer",
    "refreshd.adapters.structlog_observer",
    "refreshd.config",
    "refreshd.wiring",
)


def main() -> None:
    """Serve until the other side closes its end. What was forked dies with this process."""
    for name in ("refreshd.cli.app", *_LOADED_LATE):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    print(json.dumps({"ready": os.getpid()}), flush=True)
    while line := sys.stdin.buffer.readline():
        print(json.dumps(_obey(json.loads(line))), flush=True)


def _obey(order: dict[str, Any]) -> dict[str, int]:
    if "reap" in order:
        _, status = os.waitpid(order["reap"], 0)
        return {"code": os.waitstatus_to_exitcode(status)}
    if threading.active_count() != 1:
        raise RuntimeError("a fork would inherit half of a second thread")
    pid = os.fork()
    if not pid:
        _become(order)
    return {"pid": pid}


def _become(order: dict[str, Any]) -> NoReturn:
    """The product with these arguments, on its own files, in its own environment."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    given = os.open(order["stdin"], os.O_RDONLY)
    for target, source in ((0, given), (1, _appending(order["log"])), (2, _appending(order["errors"]))):
        os.dup2(source, target)
    os.environ.update(order["environ"])
    if order["installed"]:
        os.execv(order["command"], [order["command"], *order["arguments"]])
    sys.argv = [order["command"], *order["arguments"]]
    os._exit(_run())


def _appending(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _run() -> int:
    from refreshd.cli.app import main as product  # noqa: PLC0415 - the installed command's own entry, loaded long ago

    code: object = 0
    try:
        product()
    except SystemExit as exc:
        code = exc.code
    except BaseException:  # noqa: BLE001 - what the interpreter would do at its end
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    main()
