"""Faults that were once in the store, each with the case that showed it."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.sql.engine import RunLock, StoreRefused
from refreshd.adapters.sql.inventory import Selection
from refreshd.domain.settle import settle
from refreshd.domain.transition import Transition
from refreshd.ports.store import Attempt, Capacity, Committed, StoreUnavailable
from tests.contract.stores import ACME, LEASE, OTHER, POLICY, Bed, grant
from tests.fakes import START, success


def refreshed(attempt: Attempt) -> Transition:
    return settle(attempt.credential, success("new", "fresh"), POLICY, sent_at=START, now=START, draw=0.5)


async def test_a_commit_that_cannot_be_tried_takes_no_neighbour_down_and_can_be_asked_again(bed: Bed) -> None:
    """A bug in one answer is `StoreUnavailable` to that one, which keeps its tokens; the group it arrived in is stored."""
    bed.add(*(grant(name) for name in "abc"))
    attempts = {str(one.credential.id): one for one in sorted(await bed.claim(), key=lambda one: one.credential.id)}
    transitions = {name: refreshed(one) for name, one in attempts.items()}
    broken = transitions["b"]
    unstorable = replace(broken, after=replace(broken.after, scope="\ud800"))
    results = await asyncio.gather(
        *(
            bed.store.commit(attempts[name], unstorable if name == "b" else transitions[name], now=START)
            for name in attempts
        ),
        return_exceptions=True,
    )
    assert [True, False, True] == [isinstance(one, Committed) for one in results]
    assert isinstance(results[1], StoreUnavailable)
    assert Committed() == await bed.store.commit(attempts["b"], broken, now=START)


async def test_one_client_without_work_does_not_hide_that_another_has_more(bed: Bed) -> None:
    """Else a busy client would start only what one tick's rate token allows, as soon as a second client is configured."""
    bed.add(*(grant(f"a{number}") for number in range(5)))
    capacity = {ACME: Capacity(count=1, lease=LEASE), OTHER: Capacity(count=9, lease=LEASE)}
    claims = await bed.store.claim_due(now=START, capacity=capacity, total=32, holding=())
    assert (1, frozenset({ACME})) == (len(claims.attempts), claims.more)


async def test_a_removed_pause_does_not_come_back_with_a_new_login(bed: Bed) -> None:
    """A credential that was paused when it was removed is a new one when it is imported again."""
    bed.add(grant())
    bed.inventory.pause(Selection(id="a"), now=START)
    bed.inventory.remove(Selection(id="a"), now=START)
    bed.add(grant(token="another"))
    assert ["a"] == [one.credential.id for one in await bed.claim(START + timedelta(seconds=1))]


def test_looking_for_a_daemon_does_not_keep_one_from_starting(tmp_path: Path) -> None:
    """`token` and `refresh` look at the lock; a `run` that starts at that instant is not refused."""
    path = tmp_path / "refreshd.db"
    with RunLock(path):
        pass
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            assert isinstance(RunLock(path).is_held, bool)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(300):
            with RunLock(path):
                pass
    finally:
        over.set()
        looking.join()


def test_a_lock_that_cannot_be_opened_is_a_refusal(tmp_path: Path) -> None:
    """A person is told, without a traceback."""
    path = tmp_path / "refreshd.db"
    path.with_name("refreshd.db.lock").mkdir()
    with pytest.raises(StoreRefused, match="cannot be opened"), RunLock(path):
        pass
    with pytest.raises(StoreRefused, match="cannot be opened"):
        assert RunLock(path).is_held
