"""Generated provider answers, well formed and not, given to the classifier in memory and to the real endpoint over a socket.

Promised of every answer: no exception, no hang, no refresh token lost or overwritten, nobody condemned without the refusals that
protocol.md asks for, no secret in what is shown, and a row that the store takes. What must come of an answer is judged by
`fuzzing.judge`, which reads RFCs and protocol.md and asks nothing of the product.

A case is its seed and index. Every 50th goes over the wire and into SQLite, every 100th of the others into SQLite.
"""

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

from tests.programme.fuzzing import judge as j
from tests.programme.fuzzing.answers import case
from tests.programme.fuzzing.bench import ROWS, Bench
from tests.programme.fuzzing.inside import Judged, examine
from tests.programme.fuzzing.overwire import Wire
from tests.programme.fuzzing.tally import Tally
from tests.programme.programme import Limits, Report, per_thousand

WORKERS = 2
_WORTH_TWO = 50_000  # cases; with fewer a second process costs more than it brings
_WIRE_EVERY = 50
_STORE_EVERY = 100
_BLOCK = 100  # holds each kind of case in its proportion

RARE = {
    "successes": 130,
    "salvaged tokens": 55,
    j.FAST: 30,
    j.SLOW: 10,
    j.SLOWEST: 90,
    j.UNCERTAIN: 100,
    j.SHARED: 0.8,
    j.DEFERRED: 12,
    j.MISCONFIGURED: 18,
    "condemned": 40,
    "truncated": 40,
    "oversized": 6,
    "compressed": 20,
    "duplicate keys": 20,
    "surrogates": 3,
    "stored": 15,
    "over the wire": 15,
    "cut on the wire": 2,
    "bytes behind": 1,
    "late answers": 0.2,
    "interim answers": 0.4,
    "broken heads": 0.6,
}
"""How often each dangerous case must happen in 1,000: about half of how often the grammar makes it."""


@dataclass(frozen=True, slots=True)
class _Share:
    """The cases of one process: blocks of them, the first at `first`, each `step` after the other, all below `end`."""

    seed: int
    first: int
    end: int
    step: int
    seconds: float

    def blocks(self) -> Iterator[range]:
        for begin in range(self.first, self.end, self.step):
            yield range(begin, min(begin + _BLOCK, self.end))


def run(limits: Limits) -> Report:
    workers = WORKERS if limits.n >= _WORTH_TWO else 1
    end, step = limits.first + limits.n, workers * _BLOCK
    shares = [_Share(limits.seed, limits.first + part, end, step, limits.seconds) for part in range(0, step, _BLOCK)]
    tally = _together(shares, limits) if workers > 1 else asyncio.run(_work(shares[0], limits.stop.is_set))
    return Report(
        name="fuzz",
        n=tally.done,
        seed=limits.seed,
        seconds=limits.elapsed,
        counts=dict(tally.counts),
        violations=tally.violations,
        minima=per_thousand(tally.done, RARE),
    )


def _together(shares: Sequence[_Share], limits: Limits) -> Tally:
    """A process for each share. What ends us ends them: they are told, and go back with what they have."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(len(shares), mp_context=context) as pool:
        stop = manager.Event()
        futures = [pool.submit(_apart, share, stop) for share in shares]
        while wait(futures, timeout=1).not_done:
            if limits.stop.is_set():
                stop.set()
        tally = Tally()
        for future in futures:
            tally.add(future.result())
    return tally


def _apart(share: _Share, stop: Event) -> Tally:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and tells us
    return asyncio.run(_work(share, stop.is_set))


async def _work(share: _Share, stopped: Callable[[], bool]) -> Tally:
    """Go through the cases in order; those for the wire and the store are kept until a batch is full."""
    limits, tally = Limits(share.end, share.seed, share.seconds), Tally()
    to_serve: list[int] = []
    to_store: list[Judged] = []
    with TemporaryDirectory() as directory, Bench(Path(directory)) as bench:
        async with Wire(bench) as wire:
            for block in share.blocks():
                if stopped() or not limits.going(0):
                    break
                to_serve += [index for index in block if index % _WIRE_EVERY == _WIRE_EVERY - 1]
                to_store += _examined(share.seed, block, bench, tally)
                if len(to_serve) + len(block) > ROWS:
                    await wire.serve(share.seed, to_serve, tally)
                    to_serve = []
                if len(to_store) + len(block) > ROWS:
                    await wire.store(to_store, tally)
                    to_store = []
            await wire.serve(share.seed, to_serve, tally)
            await wire.store(to_store, tally)
    return tally


def _examined(seed: int, block: range, bench: Bench, tally: Tally) -> list[Judged]:
    """Give these cases their meaning, all but those for the wire; the ones to be stored come back."""
    found = []
    for index in block:
        if index % _WIRE_EVERY != _WIRE_EVERY - 1:
            judged = examine(case(seed, index), bench.codec, tally)
            if judged is not None and index % _STORE_EVERY == 0:
                found.append(judged)
    return found
