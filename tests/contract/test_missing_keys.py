"""A key that this process does not have is its own lack, not the row's damage: such rows are left alone until it has it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from refreshd.adapters.key_ring_editing import add_key
from refreshd.adapters.sql.inventory import Selection
from refreshd.adapters.sql.revocations import GIVEN_UP_AFTER, SqlRevocations
from refreshd.domain.credential import Status
from refreshd.domain.secret import Secret
from refreshd.ports.publisher import Snapshot
from tests.contract.stores import ACME, LEASE, Bed, damage, grant
from tests.contract.test_resealing import rows_of
from tests.fakes import START

HOUR = timedelta(hours=1)


@contextmanager
def ahead(bed: Bed) -> Iterator[Bed]:
    """A command on another machine, or behind a copy: its ring has a new first key that the daemon's has not."""
    shutil.copy(bed.ring, bed.directory / "ahead")
    add_key(bed.directory / "ahead")
    with replace(bed, ring_name="ahead") as other:
        yield other


def catch_up(bed: Bed) -> None:
    """The daemon's ring is a copy of the newer one by now."""
    (bed.directory / "ahead").replace(bed.ring)


async def test_such_a_row_is_passed_over_and_claimed_when_the_key_is_there(bed: Bed) -> None:
    """It was held once, for all daemons and for good, until somebody ran `adopt`."""
    bed.add(grant("a"), grant("b"))
    with ahead(bed) as other:
        other.add(grant("c"))
        before = bed.row("c")
        claimed = await bed.claim()
        assert ["a", "b"] == sorted(one.credential.id for one in claimed)
        assert [] == await bed.claim(START + LEASE / 2)
        assert before == bed.row("c")
        assert ["c"] == [one.credential.id for one in await other.claim()]  # who has the key goes on


async def test_it_is_claimed_when_the_key_is_there(bed: Bed) -> None:
    """Nobody needs to do anything but to bring the key."""
    with ahead(bed) as other:
        other.add(grant("c"))
    assert [] == await bed.claim()
    catch_up(bed)
    [attempt] = await bed.claim()
    assert Secret("refresh-c") == attempt.refresh_token


async def shown(bed: Bed) -> list[Snapshot]:
    """What is to be published, and what a republishing shows: the same here."""
    pending = list(await bed.store.unpublished(limit=10))
    assert pending == list(await bed.store.page(after=None, limit=10))
    return pending


async def test_its_token_is_not_shown_as_withdrawn(bed: Bed) -> None:
    """Marked as published without its token it would never be shown; republished, it would take a living token away."""
    with ahead(bed) as other:
        other.add(grant("c", access_token=Secret("at"), issued_at=START, expires_at=START + HOUR))
        assert [] == await shown(bed)
        other.inventory.pause(Selection(id="c"), now=START)
        assert [Status.PAUSED] == [one.status for one in await shown(bed)]  # no token belongs to that
        other.inventory.resume(Selection(id="c"), now=START)
    catch_up(bed)
    [snapshot] = await shown(bed)
    assert snapshot.access is not None
    assert Secret("at") == snapshot.access.value


async def test_its_revocation_waits_a_day_for_the_key(bed: Bed) -> None:
    """`remove --revoke` behind a newer ring; the daemon gave it up at once."""
    with ahead(bed) as other:
        other.add(grant("c"))
        other.inventory.remove_to_revoke(Selection(id="c"), now=START)
    queue = SqlRevocations(bed.store.threads, bed.codec)
    assert [] == list(await queue.due(ACME, now=START + HOUR, limit=9))
    [given_up] = await queue.due(ACME, now=START + GIVEN_UP_AFTER, limit=9)
    assert None is given_up.token
    catch_up(bed)
    [waiting] = await queue.due(ACME, now=START + HOUR, limit=9)
    assert Secret("refresh-c") == waiting.token


async def test_holds_of_before_are_released_by_the_key(bed: Bed) -> None:
    """Not those that are damaged, nor those held for another reason."""
    bed.add(grant("damaged"), grant("behind"))
    bed.edit("damaged", refresh_token=damage(bed.row("damaged")["refresh_token"]))
    with ahead(bed) as other:
        other.add(grant("c"), grant("d"))
    for name in ("damaged", "c", "d"):
        bed.edit(name, health="held", reason="undecryptable", next_attempt_at=None)
    bed.edit("behind", health="held", reason="store_behind", next_attempt_at=None)
    assert 0 == await rows_of(bed).release()
    catch_up(bed)
    assert (2, 0) == (await rows_of(bed).release(), await rows_of(bed).release())
    assert ["c", "d"] == sorted(one.credential.id for one in await bed.claim())
    assert bed.row("c")["unpublished_events"].endswith("resumed,")
