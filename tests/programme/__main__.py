"""`python -m tests.programme NAME`: one long run. The Makefile has a target for each name."""

import argparse
import importlib
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType

from tests.programme.page import PAGE, record
from tests.programme.programme import NAMES, Limits, Report

_SHOWN = 40


def load(name: str) -> ModuleType:
    return importlib.import_module(f"tests.programme.{name}")


def main(arguments: Sequence[str] | None = None, *, programmes: Callable[[str], ModuleType] = load) -> int:
    """0: every promise was kept and every dangerous case happened. 1: not so. The seed is told first, the rest at the end."""
    options = _options(arguments)
    command = f"make {options.name} N={options.n} SEED={options.seed} MINUTES={options.minutes:g}"
    module = programmes(options.name)
    replicas = _replicas(options.replicas, module)
    if replicas:
        command += f" REPLICAS={replicas}"
    if options.credentials:
        command += f" CREDENTIALS={options.credentials} DAYS={options.days:g}"
    print(command, flush=True)
    run: Callable[[Limits], Report] = module.run
    limits = Limits(
        options.n,
        options.seed,
        options.minutes * 60,
        options.first,
        replicas=replicas,
        credentials=options.credentials,
        days=options.days,
    )
    with _ended_by_ctrl_c(limits):
        report = run(limits)
    failures = report.failures()
    for text in (report.line(), *failures[:_SHOWN]):
        print(text)
    if len(failures) > _SHOWN:
        print(f"and {len(failures) - _SHOWN} more")
    if options.record:
        record(report, command, about=(module.__doc__ or "").partition("\n")[0], page=options.page)
    return 1 if failures else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.programme", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--n", type=int, required=True, help="how many cases")
    parser.add_argument("--minutes", type=float, required=True, help="end after that time with the cases reached")
    parser.add_argument("--seed", type=int, help="repeat the cases of an earlier run; drawn and told when not given")
    parser.add_argument("--first", type=int, default=0, help="the first case of the seed to run, to repeat one alone")
    parser.add_argument("--replicas", type=int, default=0, help="how many replicas, of a programme that starts several")
    parser.add_argument("--credentials", type=int, default=0, help="of each simulated world, with --days")
    parser.add_argument("--days", type=float, default=0.0, help="that each simulated world lives, with --credentials")
    parser.add_argument("--record", action="store_true", help="append the result to docs/reliability.md")
    parser.add_argument("--page", type=Path, default=PAGE, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if bool(options.credentials) != bool(options.days) or (options.credentials and options.name != "simulate"):
        parser.error("--credentials and --days belong together, and to simulate")
    if options.seed is None:
        options.seed = random.randrange(10**6)
    return options


def _replicas(asked: int, module: ModuleType) -> int:
    """How many it will start: what was asked for, else its own default; 0 for a programme that knows none."""
    default: int = getattr(module, "REPLICAS", 0)
    if asked < 0 or (asked and not default):
        raise SystemExit(f"{module.__name__.rpartition('.')[2]} cannot have {asked} replicas")
    return asked or default


@contextmanager
def _ended_by_ctrl_c(limits: Limits) -> Iterator[None]:
    """The first Ctrl-C ends the run with what it has reached, the second at once."""

    def end(_number: int, _frame: FrameType | None) -> None:
        limits.stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())
