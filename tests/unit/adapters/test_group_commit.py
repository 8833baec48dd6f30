"""Which answers share a transaction."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from refreshd.adapters.spool import Spool
from refreshd.adapters.sql.commits import LINGER, LONGEST_LINGER, Answer, GroupCommit
from refreshd.adapters.sql.spooling import Spooling
from refreshd.adapters.sql.thread import StoreThread
from refreshd.domain.settle import settle
from refreshd.domain.steps import unobserved
from refreshd.ports.store import Attempt, StoreUnavailable
from tests.contract.stores import POLICY, SqliteBed, grant
from tests.fakes import START, quiet, success


class Writer:
    """The store's writing thread, and how many answers each of its transactions held."""

    def __init__(self, bed: SqliteBed) -> None:
        self._thread = bed.store.threads.writer
        self.sizes: list[int] = []

    async def run(self, work: Any, *, first: Callable[[], None]) -> Any:
        self.sizes.append(len(work.keywords["answers"]))
        return await self._thread.run(work, first=first)


class Pauses:
    """Lasts until it is let go."""

    def __init__(self) -> None:
        self.lengths: list[float] = []
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.lengths.append(seconds)
        await self.over.wait()


def answers(attempts: Sequence[Attempt]) -> list[Answer]:
    return [
        Answer(
            attempt=one,
            transition=settle(one.credential, success(), POLICY, sent_at=START, now=START, draw=0.5),
            now=START,
        )
        for one in attempts
    ]


async def test_after_company_came_the_next_answers_wait_for_some(tmp_path: Path) -> None:
    """Three that come one by one share a transaction, because two have just come together."""
    with SqliteBed(tmp_path) as bed:
        for name in "abcde":
            bed.add(grant(name))
        one, two, *rest = answers(await bed.claim(count=5))
        writer, pauses = Writer(bed), Pauses()
        group = GroupCommit(cast("StoreThread", writer), bed.codec, reached=unobserved, pause=pauses)
        await asyncio.gather(group.commit(one), group.commit(two))
        waiting = []
        for answer in rest:
            waiting.append(asyncio.create_task(group.commit(answer)))
            await quiet()
        assert ([2], [2 * LINGER]) == (writer.sizes, pauses.lengths)
        pauses.over.set()
        await asyncio.gather(*waiting)
        assert [2, 3] == writer.sizes
        assert max(pauses.lengths) <= LONGEST_LINGER


async def test_an_answer_that_comes_alone_waits_for_nobody(tmp_path: Path) -> None:
    """While little happens a token is stored at once."""
    with SqliteBed(tmp_path) as bed:
        bed.add(grant("a"))
        bed.add(grant("b"))
        writer, pauses = Writer(bed), Pauses()
        group = GroupCommit(cast("StoreThread", writer), bed.codec, reached=unobserved, pause=pauses)
        for answer in answers(await bed.claim(count=2)):
            await group.commit(answer)
        assert ([1, 1], []) == (writer.sizes, pauses.lengths)


async def test_an_answer_that_comes_while_the_store_fails_between_two_commits_is_kept_beside_it(tmp_path: Path) -> None:
    """R6: the database is away while the schedule is to be moved; the token must outlive this process all the same."""
    with SqliteBed(tmp_path) as bed:
        bed.add(grant("a"))
        [answer] = answers(await bed.claim(count=1))
        spool = Spool(tmp_path / "spool", owner="p1", clock=lambda: 0.0)
        spooling = Spooling(spool, bed.codec, on_fault=print)
        group = GroupCommit(bed.store.threads.writer, bed.codec, reached=unobserved, spooling=spooling)
        committing: list[asyncio.Task[object]] = []

        async def fail_between() -> None:
            async with group.between():
                committing.append(asyncio.create_task(group.commit(answer)))
                await quiet()
                raise StoreUnavailable("away")

        with pytest.raises(StoreUnavailable):
            await fail_between()
        with pytest.raises(StoreUnavailable) as told:
            await committing[0]
        assert told.value.kept
        assert 1 == len([line for line in spool.lines() if line])
        spool.close()
