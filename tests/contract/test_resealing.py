"""Moving what is stored to another key: everything moves, and nothing newer is ever overwritten."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import RowMapping

from refreshd.adapters.key_ring_editing import add_key, retire_keys
from refreshd.adapters.key_ring_file import KeyRingFile
from refreshd.adapters.sql import statements
from refreshd.adapters.sql.engine import StoreRefused
from refreshd.adapters.sql.identity import identify
from refreshd.adapters.sql.inventory import Selection
from refreshd.adapters.sql.resealing import Move, SqlSealedRows
from refreshd.adapters.sql.retirement import Retirement
from refreshd.adapters.sql.sealed_columns import Place
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from refreshd.ports.keys import Batch, Cursor
from refreshd.ports.store import Committed
from tests.contract.stores import ACME, LEASE, POLICY, Bed, damage, grant
from tests.fakes import START, FakeClock, success

SECOND = timedelta(seconds=1)


def rows_of(bed: Bed) -> SqlSealedRows:
    return SqlSealedRows(
        bed.store.threads,
        bed.codec,
        bed.sealer,
        bed.environment,
        clock=FakeClock(START),
        engines=bed.engines,
        owner="p1",
    )


async def rotated(bed: Bed) -> tuple[SqlSealedRows, str, str]:
    """A new key above the old one, taken up; nothing moved yet."""
    old = bed.sealer.primary_key_id
    new = add_key(bed.ring)
    rows = rows_of(bed)
    await rows.take_up(bed.sealer.look().first)
    assert new == bed.sealer.primary_key_id
    return rows, old, new


async def one_pass(rows: SqlSealedRows, *, limit: int = 2) -> list[Batch]:
    batches, cursor = [], Cursor()
    while True:
        batches.append(await rows.reseal(cursor, limit=limit))
        if batches[-1].rest is None:
            return batches
        cursor = batches[-1].rest


async def fill(bed: Bed) -> None:
    """Something in every sealed column of every table."""
    later = START + timedelta(hours=1)
    names = ("a", "b", "c", "d", "e")
    bed.add(*(grant(one, access_token=Secret(f"access-{one}"), issued_at=START, expires_at=later) for one in names))
    bed.add(grant("lost"), grant("gone"))
    (attempt,) = [one for one in await bed.claim() if one.credential.id == "lost"]
    bed.edit("lost", attempt_id="stolen")
    await bed.store.commit(
        attempt, settle(attempt.credential, success("x", "y"), POLICY, sent_at=START, now=START, draw=0.5), now=START
    )
    bed.inventory.remove_to_revoke(Selection(id="gone"), now=START + LEASE)


async def test_every_sealed_place_moves_to_the_new_key(bed: Bed) -> None:
    """Credentials, rescued tokens, revocations, the store's own secret: then the old key opens nothing that is needed."""
    await fill(bed)
    rows, old, new = await rotated(bed)
    total = sum((await rows.rows_by_key()).values())
    batches = await one_pass(rows)
    assert {new: total} == dict(await rows.rows_by_key())
    assert (0, 0) == (sum(one.outrun for one in batches), sum(one.unreadable for one in batches))
    credentials, rescued, revoked, own = 2 * 5 + 1, 2, 1, 1
    assert credentials + rescued + revoked + own == sum(one.moved for one in batches)
    assert (old,) == tuple(Retirement(bed.engines, bed.sealer).retire(ring=[new, old], daemon=True))
    retire_keys(bed.ring, [old])
    with bed.engines.write.begin() as connection:
        identity = identify(connection, KeyRingFile(bed.ring), environment=bed.environment, now=START)
    assert bed.identity.fingerprint_key == identity.fingerprint_key


async def test_what_was_moved_reads_as_before(bed: Bed) -> None:
    """The same tokens under another key, in the same rows; nothing else of a row changes."""
    await fill(bed)
    before = bed.row("a")
    rows, _, _ = await rotated(bed)
    await one_pass(rows)
    after = bed.row("a")
    changed = {name for name in before if before[name] != after[name]}
    assert {"refresh_token", "access_token", "key_id"} == changed
    assert "refresh-a" == bed.codec.open(after["refresh_token"], "refresh_token", "a").reveal()
    token = bed.inventory.access_token("a")
    assert token is not None
    assert "access-a" == token.value.reveal()


async def test_a_second_pass_finds_nothing(bed: Bed) -> None:
    """What rests under the key is not written again and again."""
    await fill(bed)
    rows, _, _ = await rotated(bed)
    await one_pass(rows)
    assert 0 == sum(one.moved + one.outrun for one in await one_pass(rows))


class Interrupted(SqlSealedRows):
    """Lets something happen between a batch's reading and its writing."""

    def __init__(self, bed: Bed) -> None:
        super().__init__(
            bed.store.threads,
            bed.codec,
            bed.sealer,
            bed.environment,
            clock=FakeClock(START),
            engines=bed.engines,
            owner="p1",
        )
        self.meanwhile: list[Callable[[], object]] = []

    def _sealed_anew(self, place: Place, rows: Sequence[RowMapping]) -> tuple[list[Move], int]:
        found = super()._sealed_anew(place, rows)
        while self.meanwhile:
            self.meanwhile.pop()()
        return found


async def interrupted(bed: Bed) -> Interrupted:
    add_key(bed.ring)
    rows = Interrupted(bed)
    await rows.take_up(bed.sealer.look().first)
    return rows


async def test_a_new_login_in_between_wins(bed: Bed) -> None:
    """The row was imported anew after it was read: the newer token stays."""
    bed.add(grant("a"))
    rows = await interrupted(bed)
    rows.meanwhile.append(lambda: bed.add(grant("a", "newer"), replace=True))
    batch = await rows.reseal(Cursor(), limit=10)
    assert (0, 1) == (batch.moved, batch.outrun)
    assert "newer" == bed.codec.open(bed.row("a")["refresh_token"], "refresh_token", "a").reveal()


async def test_a_removal_in_between_wins(bed: Bed) -> None:
    """What is erased is not brought back."""
    bed.add(grant("a"))
    rows = await interrupted(bed)
    rows.meanwhile.append(lambda: bed.inventory.remove(Selection(id="a"), now=START))
    batch = await rows.reseal(Cursor(), limit=10)
    assert (0, 1) == (batch.moved, batch.outrun)
    assert None is bed.row("a")["refresh_token"]


async def test_a_commit_in_between_wins(bed: Bed) -> None:
    """The rotated token of an answer is never replaced by the spent one that was read before it."""
    bed.add(grant("a"))
    (attempt,) = await bed.claim()
    rows = await interrupted(bed)
    transition = settle(attempt.credential, success("access", "fresh"), POLICY, sent_at=START, now=START, draw=0.5)
    values = {"b_id": "a", "b_attempt_id": attempt.id, "b_generation": attempt.credential.generation}

    def commit() -> None:
        with bed.engines.write.begin() as connection:
            connection.execute(statements.COMMIT, values | bed.codec.committed(attempt, transition, now=START))

    rows.meanwhile.append(commit)
    batch = await rows.reseal(Cursor(), limit=10)
    assert (0, 1) == (batch.moved, batch.outrun)
    assert "fresh" == bed.codec.open(bed.row("a")["refresh_token"], "refresh_token", "a").reveal()


async def test_a_commit_after_it_wins_too(bed: Bed) -> None:
    """The other direction: sealing anew never makes an open attempt lose its row."""
    bed.add(grant("a"))
    (attempt,) = await bed.claim()
    rows, _, new = await rotated(bed)
    await one_pass(rows)
    transition = settle(attempt.credential, success("access", "fresh"), POLICY, sent_at=START, now=START, draw=0.5)
    assert Committed() == await bed.store.commit(attempt, transition, now=START)
    assert "fresh" == bed.codec.open(bed.row("a")["refresh_token"], "refresh_token", "a").reveal()
    assert {new: 2} == dict(await rows.rows_by_key())


async def test_a_row_under_two_keys_counts_for_both_and_moves(bed: Bed) -> None:
    """An answer with a refresh token alone leaves the access token under the old key, whatever `key_id` says."""
    later = START + timedelta(hours=1)
    bed.add(grant("a", access_token=Secret("access"), issued_at=START, expires_at=later))
    rows, old, new = await rotated(bed)
    bed.edit("a", refresh_token=bed.codec.seal(Secret("alone"), "refresh_token", "a"), key_id=new)
    assert {old: 2, new: 1} == dict(await rows.rows_by_key())  # with the store's own secret
    await one_pass(rows)
    assert {new: 2} == dict(await rows.rows_by_key())


async def test_what_no_key_opens_stays_and_is_counted(bed: Bed) -> None:
    """A damaged row hides no other and is not touched."""
    bed.add(grant("a"), grant("b"), grant("c"))
    damaged = damage(bed.row("a")["refresh_token"])
    bed.edit("a", refresh_token=damaged)
    rows, old, new = await rotated(bed)
    batches = await one_pass(rows, limit=1)
    assert 1 == sum(one.unreadable for one in batches)
    assert damaged == bed.row("a")["refresh_token"]
    assert {old: 1, new: 3} == dict(await rows.rows_by_key())


async def test_a_damaged_ciphertext_names_no_key(bed: Bed) -> None:
    """What a disk made of it must not become a metric's label."""
    bed.add(grant("a"))
    bed.edit("a", refresh_token=b"\x01\xff<script>")
    assert {"damaged": 1, bed.sealer.primary_key_id: 1} == dict(await rows_of(bed).rows_by_key())


async def test_a_command_that_holds_a_retired_key_is_refused(bed: Bed) -> None:
    """An import that began before the rotation must not seal with a key that the ring has lost meanwhile."""
    bed.add(grant("a"))
    late = replace(bed)
    with late:
        rows, old, new = await rotated(bed)
        await one_pass(rows)
        Retirement(bed.engines, bed.sealer).retire(ring=[new, old], daemon=True)
        with pytest.raises(StoreRefused, match="key ring was changed"):
            late.add(grant("b"))


async def test_a_key_is_not_retired_before_the_daemon_has_taken_up_the_new_one(bed: Bed) -> None:
    """Else it would go on sealing with a key that the next start does not have."""
    bed.add(grant("a"))
    old = bed.sealer.primary_key_id
    await rows_of(bed).take_up(old)
    new = add_key(bed.ring)
    retirement = Retirement(bed.engines, KeyRingFile(bed.ring))
    with pytest.raises(StoreRefused, match="does not seal with the key"):
        retirement.retire(ring=[new, old], daemon=True)
    assert [] == list(retirement.retire(ring=[new, old], daemon=False))  # rows rest under it


async def test_the_daemon_reads_what_a_command_sealed_with_a_key_it_did_not_know(bed: Bed) -> None:
    """`import` right after `keys rotate`: no row is held for a key that stands in the file."""
    new = add_key(bed.ring)
    with replace(bed) as command:
        command.add(grant("a"))
        assert new == command.sealer.primary_key_id
    (attempt,) = await bed.claim()
    assert Secret("refresh-a") == attempt.refresh_token
    assert new != bed.sealer.primary_key_id  # it opens, but does not seal before it is told
    assert ACME == attempt.credential.client
