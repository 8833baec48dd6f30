"""Two who write at the same time: what one has looked at is still so when it writes. SQLite lets only one begin."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Event

from sqlalchemy import event

from refreshd.adapters.key_ring_file import KeyRingFile
from refreshd.adapters.sql.inventory import Selection
from refreshd.adapters.sql.retirement import Retirement
from refreshd.adapters.sql.revocations import SqlRevocations
from refreshd.domain.outcome import Outcome
from refreshd.domain.settle import settle
from refreshd.domain.transition import Transition
from refreshd.ports.store import Attempt, Conflict
from tests.contract.stores import ACME, LEASE, POLICY, Bed, grant
from tests.contract.test_resealing import one_pass, rotated
from tests.fakes import START, success

SECOND = timedelta(seconds=1)
NOW = START + SECOND


@contextmanager
def meeting(bed: Bed, sql: str, *, time: int = 1) -> Iterator[tuple[Event, Event]]:
    """Stops for a moment whoever executes such a statement for the so-manieth time: it has come there, it may go on."""
    there, done = Event(), Event()
    left = time

    def stop(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        nonlocal left
        left -= sql in statement
        if not left and not there.is_set():
            there.set()
            done.wait(0.5)

    event.listen(bed.engines.write, "after_cursor_execute", stop)
    try:
        yield there, done
    finally:
        event.remove(bed.engines.write, "after_cursor_execute", stop)


def settled(attempt: Attempt, outcome: Outcome) -> Transition:
    return settle(attempt.credential, outcome, POLICY, sent_at=START, now=START, draw=0.5)


async def to_be_revoked(bed: Bed) -> list[str]:
    found = await SqlRevocations(bed.store.threads, bed.codec).due(ACME, now=START + LEASE, limit=100)
    return [one.token.reveal() for one in found if one.token is not None]


async def test_an_answer_in_the_middle_of_a_removal_is_revoked_too(bed: Bed) -> None:
    """Between the look at the token and its removal it was rotated once: the old one was revoked, the living one erased."""
    bed.add(grant("a"))
    [attempt] = await bed.claim()
    with meeting(bed, "INSERT INTO revocation") as (there, done):
        removal = asyncio.create_task(asyncio.to_thread(bed.inventory.remove_to_revoke, Selection(id="a"), now=NOW))
        assert await asyncio.to_thread(there.wait, 5)
        answer = await bed.store.commit(attempt, settled(attempt, success(refresh="living")), now=NOW)
        done.set()
        assert (1, 1) == await removal
    assert Conflict(earlier_login=True, revoking=True) == answer
    assert ["living", "refresh-a"] == sorted(await to_be_revoked(bed))


async def test_a_token_put_aside_in_the_middle_of_a_removal_is_revoked_too(bed: Bed) -> None:
    """Of an attempt that had lost its row: it is put aside before the removal, or finds the row removed."""
    bed.add(grant("a"))
    [attempt] = await bed.claim()
    bed.edit("a", attempt_id=None, attempt_owner=None)
    with meeting(bed, "DELETE FROM rescued_token") as (there, done):
        removal = asyncio.create_task(asyncio.to_thread(bed.inventory.remove_to_revoke, Selection(id="a"), now=NOW))
        assert await asyncio.to_thread(there.wait, 5)
        await bed.store.commit(attempt, settled(attempt, success(refresh="living")), now=NOW)
        done.set()
        await removal
    assert ["living", "refresh-a"] == sorted(await to_be_revoked(bed))


async def test_two_imports_of_one_login_store_it_once(bed: Bed) -> None:
    """Both have found that it is new; the second to write looks again."""
    with replace(bed) as other, meeting(bed, "FROM fingerprint", time=2) as (there, done):
        first = asyncio.create_task(asyncio.to_thread(write, bed, "a"))
        assert await asyncio.to_thread(there.wait, 5)
        second = await asyncio.to_thread(write, other, "b")
        done.set()
        assert 1 == await first + second


async def test_an_answer_in_the_middle_of_a_re_login_is_the_earlier_login_s(bed: Bed) -> None:
    """The import has looked at the row a last time: an answer stored now would be overwritten, with its own revision."""
    bed.add(grant("a"))
    [attempt] = await bed.claim()
    with replace(bed) as other, meeting(other, "FROM fingerprint", time=2) as (there, done):
        again = asyncio.create_task(asyncio.to_thread(write, other, "a", token="new-login", replace=True))
        assert await asyncio.to_thread(there.wait, 5)
        answer = await bed.store.commit(attempt, settled(attempt, success(refresh="rotated")), now=NOW)
        done.set()
        assert 1 == await again
    assert Conflict(earlier_login=True) == answer
    assert (2, 2) == (bed.row("a")["generation"], bed.row("a")["revision"])


def write(bed: Bed, name: str, *, token: str = "one-login", replace: bool = False) -> int:
    login = [grant(name, token=token)]
    done = bed.importer.write(login, replace=replace, now=START, progress=lambda _count: None)
    return done.added + done.replaced


async def test_a_key_that_an_import_just_seals_with_is_not_retired(bed: Bed) -> None:
    """It has found its key in use; the key must stay so until its rows are there to be counted."""
    with replace(bed) as late:
        rows, old, new = await rotated(bed)
        await one_pass(rows)
        with meeting(late, "FROM key_check") as (there, done):
            importing = asyncio.create_task(asyncio.to_thread(write, late, "a"))
            assert await asyncio.to_thread(there.wait, 5)
            retirement = Retirement(bed.engines, KeyRingFile(bed.ring))
            spent = await asyncio.to_thread(retirement.retire, ring=[new, old], daemon=False)
            done.set()
            assert (1, []) == (await importing, list(spent))
