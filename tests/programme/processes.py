"""Cases in processes of their own, two at a time: a case begins with nothing that another left behind, and Ctrl-C ends none."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")

WORKERS = 2


def in_processes(
    work: Callable[[int], T], first: int, may_begin: Callable[[int], bool], *, fresh: str = ""
) -> Iterator[tuple[int, T]]:
    """`work(first)`, `work(first + 1)` and so on while `may_begin` says so of the number begun; results as they come.

    `work` and what it returns are pickled. `fresh`: no process is used twice, and each begins with this module loaded.
    """
    context = multiprocessing.get_context("forkserver")
    if fresh:
        context.set_forkserver_preload(["__main__", fresh])
    with ProcessPoolExecutor(
        WORKERS, mp_context=context, initializer=_ignore_ctrl_c, max_tasks_per_child=1 if fresh else None
    ) as pool:
        under_way: dict[Future[T], int] = {}
        begun = 0
        while True:
            while len(under_way) < WORKERS and may_begin(begun):
                under_way[pool.submit(work, first + begun)] = first + begun
                begun += 1
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                yield under_way.pop(future), future.result()


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
