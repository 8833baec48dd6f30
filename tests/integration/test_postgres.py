"""What only a database of several daemons has: its clock, crashes during commits, PgBouncer, lost commits that come back."""

import asyncio
import os
import random
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, make_url, select, text, update
from sqlalchemy.exc import OperationalError

from refreshd.adapters.key_ring_editing import add_key
from refreshd.adapters.key_ring_file import KeyRingFile
from refreshd.adapters.spool import KEEP, Spool
from refreshd.adapters.sql.database_clock import DatabaseClock
from refreshd.adapters.sql.engine import StoreRefused
from refreshd.adapters.sql.failover import Failover
from refreshd.adapters.sql.migrate import migrate, refuse_newer, schema_version
from refreshd.adapters.sql.postgres import PostgresEngines
from refreshd.adapters.sql.replicas import SqlReplicas
from refreshd.adapters.sql.resealing import SqlSealedRows
from refreshd.adapters.sql.retirement import Retirement
from refreshd.adapters.sql.schema import HEAD, credential
from refreshd.adapters.sql.spooling import Spooling
from refreshd.adapters.sql.store import SqlStore
from refreshd.domain.events import CredentialHeld
from refreshd.domain.outcome import Outcome
from refreshd.domain.policy import CONNECT_TIMEOUT
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from refreshd.domain.transition import Transition
from refreshd.ports.publisher import Counters
from refreshd.ports.store import Attempt, Capacity, Committed, Conflict, StoreUnavailable
from refreshd.service.resealer import Resealer
from tests.components.pgbouncer import PgBouncer
from tests.components.postgres_server import PASSWORD, PostgresServer
from tests.contract.stores import ACME, LEASE, POLICY, PostgresBed, grant
from tests.fakes import START, FakeClock, RecordingObserver, success
from tests.integration.certificates import self_signed

SECOND = timedelta(seconds=1)
PAUSE = 38 * SECOND
CRASHES = 50
ROWS_A_CRASH = 12


@dataclass
class Member:
    """One daemon's view of the database. `clock`: its own, wrong in every way."""

    bed: PostgresBed
    name: str
    spool_directory: Path
    engines: PostgresEngines
    pause: timedelta

    def __post_init__(self) -> None:
        self.clock = FakeClock(START)
        self.time = DatabaseClock(self.clock)
        self.failover = Failover(self.time, pause=self.pause)
        self.spool = Spool(self.spool_directory, owner=self.name, clock=self.clock.boottime)
        self.faults: list[str] = []
        spooling = Spooling(self.spool, self.bed.codec, on_fault=self.faults.append)
        self.store = SqlStore(self.engines, self.bed.codec, owner=self.name, failover=self.failover, spooling=spooling)
        self.replicas = SqlReplicas(
            self.engines,
            self.store.threads.writer,
            name=self.name,
            sealer=self.bed.sealer,
            clock=self.time,
            failover=self.failover,
            spooling=spooling,
        )

    async def claim(self, count: int = 10, *, now: datetime | None = None) -> list[Attempt]:
        room = {ACME: Capacity(count=count, lease=LEASE, retries=count)}
        claims = await self.store.claim_due(now=now or self.time.now(), capacity=room, total=count, holding=())
        return list(claims.attempts)

    async def commit(self, attempt: Attempt, outcome: Outcome) -> Committed | Conflict:
        return await self.store.commit(attempt, self.settled(attempt, outcome), now=self.time.now())

    def settled(self, attempt: Attempt, outcome: Outcome) -> Transition:
        now = self.time.now()
        return settle(attempt.credential, outcome, POLICY, sent_at=now, now=now, draw=0.5)

    def close(self) -> None:
        self.store.close()
        self.spool.close()
        self.engines.close()


@pytest.fixture
def bed(postgres_server: PostgresServer, migrated_database: str, tmp_path: Path) -> Iterator[PostgresBed]:
    url = postgres_server.database(like=migrated_database)
    with PostgresBed(tmp_path, url=url) as made:
        yield made


@contextmanager
def member(
    bed: PostgresBed, name: str, *, url: str = "", spool: str = "", pause: timedelta = timedelta(0)
) -> Iterator[Member]:
    """`pause`: how long it waits for the others that it finds in the database, of whom some never come in these tests."""
    engines = PostgresEngines(url or bed.url, limit=timedelta(seconds=5))
    made = Member(bed, name, bed.directory / (spool or f"spool-{name}"), engines, pause)
    try:
        yield made
    finally:
        made.close()


def database_now(bed: PostgresBed) -> datetime:
    with bed.engines.read.begin() as connection:
        found = bed.engines.time(connection)
    assert found is not None
    return found.at


def tokens(bed: PostgresBed) -> dict[str, Secret]:
    """The stored refresh tokens."""
    with bed.engines.read.begin() as connection:
        rows = connection.execute(select(credential)).mappings().all()
    return {row["id"]: bed.codec.refresh_token(row) for row in rows}


class TestTime:
    """Replicas' own clocks count for nothing."""

    async def test_a_lease_is_dated_by_the_database(self, bed: PostgresBed) -> None:
        """A replica that lives in another year neither shortens a lease nor takes what is not due."""
        bed.add(grant("now"), grant("later"))
        bed.edit("later", next_attempt_at=int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1e6))
        with member(bed, "a") as one:
            await one.replicas.sign_of_life()
            [attempt] = await one.claim(now=START + timedelta(days=9999))
            assert ("now", True) == (
                attempt.credential.id,
                abs(attempt.lease_until - LEASE - database_now(bed)) < 2 * SECOND,
            )

    async def test_it_tells_the_databases_time(self, bed: PostgresBed) -> None:
        """And goes on by our steady clock between two readings."""
        with member(bed, "a") as one:
            await one.replicas.sign_of_life()
            assert abs(one.time.now() - database_now(bed)) < SECOND
            one.clock.step(timedelta(days=-3))  # our wall clock: nobody looks at it
            assert abs(one.time.now() - database_now(bed)) < SECOND


class TestClaims:
    async def test_no_row_is_taken_twice(self, bed: PostgresBed) -> None:
        """Three at once, none waits for the other, and each row has one owner."""
        bed.add(*(grant(f"c{number:03}") for number in range(300)))
        with member(bed, "a") as one, member(bed, "b") as two, member(bed, "c") as three:
            for each in (one, two, three):
                await each.replicas.sign_of_life()
            taken: list[str] = []
            for _ in range(30):
                found = await asyncio.gather(*(each.claim(7) for each in (one, two, three)))
                taken += [attempt.credential.id for attempts in found for attempt in attempts]
            assert 300 == len(taken) == len(set(taken))

    async def test_an_open_attempt_whose_row_is_locked_is_not_taken_without_its_doubt(self, bed: PostgresBed) -> None:
        """It was once: put in doubt by nobody, its rejection would have condemned a login that had only lost an answer."""
        bed.add(grant("a"))
        with member(bed, "a") as one, member(bed, "b") as two:
            for each in (one, two):
                await each.replicas.sign_of_life()
            await one.claim()
            bed.edit("a", next_attempt_at=1, lease_until=1)
            with bed.engines.write.connect() as somebody:
                somebody.execute(select(credential).with_for_update())

                @event.listens_for(two.engines.write, "after_cursor_execute")
                def _let_go_behind_the_first_look(
                    _connection: object, _cursor: object, sql: str, *_rest: object
                ) -> None:
                    if "SKIP LOCKED" in sql:
                        somebody.rollback()

                assert [] == await two.claim()
            [again] = await two.claim()
            assert again.credential.in_doubt


@pytest.mark.timeout(180)
async def test_a_database_killed_during_commits_loses_none(tmp_path: Path) -> None:
    """Fifty times, at random instants: what was answered is stored once the database is back, whatever COMMIT's answer was."""
    chance = random.Random(6)
    with PostgresServer() as server, PostgresBed(tmp_path, url=server.database()) as bed, member(bed, "a") as one:
        bed.add(*(grant(f"c{number:03}") for number in range(CRASHES * ROWS_A_CRASH)))
        await one.replicas.sign_of_life()
        attempts = await one.claim(CRASHES * ROWS_A_CRASH)
        assert CRASHES * ROWS_A_CRASH == len(attempts)
        failed = 0
        for number in range(CRASHES):
            mine = attempts[number * ROWS_A_CRASH : (number + 1) * ROWS_A_CRASH]
            storing = [asyncio.create_task(_stored(one, attempt, chance.uniform(0, 0.03))) for attempt in mine]
            await asyncio.sleep(chance.uniform(0, 0.03))
            await asyncio.to_thread(server.kill if number % 2 else server.crash)
            await asyncio.to_thread(server.start)
            failed += sum(await asyncio.gather(*storing))
        bed.engines.close()  # its connections died with the server
        stored = tokens(bed)
        lost = [
            one.credential.id for one in attempts if stored[one.credential.id] != Secret(f"new-{one.credential.id}")
        ]
    print(f"{CRASHES} crashes, {failed} commits that failed at first, {len(lost)} lost")
    assert ([], True) == (lost, failed >= CRASHES)


async def _stored(one: Member, attempt: Attempt, delay: float) -> bool:
    """Commit as the refresher does, for ever. Whether that failed at first, with the answer in the spool."""
    await asyncio.sleep(delay)
    transition = one.settled(attempt, success(refresh=f"new-{attempt.credential.id}"))
    failed = False
    while True:
        try:
            assert Committed() == await one.store.commit(attempt, transition, now=one.time.now())
        except StoreUnavailable as exc:
            failed = exc.kept
            await asyncio.sleep(0.05)
        else:
            return failed


class TestLostCommits:
    """A failover may lose what the old primary had committed (protocol R6)."""

    async def refreshed(self, bed: PostgresBed, one: Member, name: str = "a") -> dict[str, Any]:
        """Refresh one credential; the row as it was before, for a failover that goes back to it."""
        await one.replicas.sign_of_life()
        before = dict(bed.row(name))
        [attempt] = await one.claim()
        assert Committed() == await one.commit(attempt, success(refresh="the-new-one"))
        return before

    def lose(self, bed: PostgresBed, before: dict[str, Any]) -> None:
        with bed.engines.write.begin() as connection:
            connection.execute(text("DELETE FROM attempt_log"))
            values = {name: value for name, value in before.items() if name != "id"}
            assignments = ", ".join(f"{name} = :{name}" for name in values)
            connection.execute(text(f"UPDATE credential SET {assignments} WHERE id = :id"), before)

    async def test_the_answer_comes_back_before_anything_is_claimed(self, bed: PostgresBed) -> None:
        """The old refresh token, which is due again, is spent: presented once more it would end the login."""
        bed.add(grant())
        with member(bed, "a") as one:
            before = await self.refreshed(bed, one)
            self.lose(bed, before)
            one.failover.lost()
            with pytest.raises(StoreUnavailable, match="just come back"):
                await one.claim()
            standing = await one.replicas.sign_of_life()
            assert (1, 1) == (standing.restored, standing.returned)
            assert {"a": Secret("the-new-one")} == tokens(bed)
            assert 0 == (await one.replicas.sign_of_life()).restored
            bed.add(grant("b"))
            assert ["b"] == [attempt.credential.id for attempt in await one.claim()]  # nobody else was there

    async def test_who_was_alive_is_waited_for_until_it_is_back(self, bed: PostgresBed) -> None:
        """It may hold answers that the database has lost."""
        bed.add(grant("a"), grant("b"))
        with member(bed, "a") as one, member(bed, "b", pause=PAUSE) as two:
            for each in (one, two, one, two):
                await each.replicas.sign_of_life()
            assert 1 == len(await two.claim(1))
            for each in (one, two):
                each.failover.lost()
            await two.replicas.sign_of_life()
            with pytest.raises(StoreUnavailable, match="just come back"):
                await two.claim()
            await one.replicas.sign_of_life()
            await two.replicas.sign_of_life()
            assert 1 == len(await two.claim())

    async def test_it_is_waited_for_no_longer_than_the_pause(self, bed: PostgresBed) -> None:
        """It may never come back, or it has left in an orderly way."""
        bed.add(grant("a"), grant("b"))
        with member(bed, "a") as one, member(bed, "b", pause=PAUSE) as two:
            for each in (one, two, two):
                await each.replicas.sign_of_life()
            two.clock.advance(PAUSE - SECOND)
            with pytest.raises(StoreUnavailable, match="just come back"):
                await two.claim()
            two.clock.advance(SECOND)
            assert 1 == len(await two.claim(1))
            two.failover.lost()
            await two.replicas.sign_of_life()
            await one.replicas.sign_off()
            await two.replicas.sign_of_life()
            assert 1 == len(await two.claim())

    async def test_a_start_in_a_failover_waits_for_others_too(self, bed: PostgresBed) -> None:
        """It has seen nothing go away, and the living token lies in the spool of a replica that is still cut off."""
        bed.add(grant())
        with member(bed, "a") as one:
            self.lose(bed, await self.refreshed(bed, one))
            with member(bed, "b", pause=PAUSE) as two:
                await two.replicas.sign_of_life()
                with pytest.raises(StoreUnavailable, match="just come back"):
                    await two.claim()
                one.failover.lost()
                assert 1 == (await one.replicas.sign_of_life()).restored
                await two.replicas.sign_of_life()
                assert [] == await two.claim()
        assert {"a": Secret("the-new-one")} == tokens(bed)

    async def test_a_killed_predecessor_is_not_waited_for_by_who_has_its_spool(self, bed: PostgresBed) -> None:
        """Else a daemon that is killed twice a minute would never come to refresh anything."""
        bed.add(grant())
        with member(bed, "killed", spool="shared") as one:
            self.lose(bed, await self.refreshed(bed, one))
            bed.add(grant("b"))
        with member(bed, "next", spool="shared", pause=PAUSE) as two, member(bed, "elsewhere", pause=PAUSE) as three:
            assert 1 == (await two.replicas.sign_of_life()).restored
            assert 1 == len(await two.claim())
            bed.add(grant("c"))
            await three.replicas.sign_of_life()
            with pytest.raises(StoreUnavailable, match="just come back"):
                await three.claim()
        assert Secret("the-new-one") == tokens(bed)["a"]

    async def test_another_server_is_noticed_by_the_claim_itself(self, bed: PostgresBed) -> None:
        """Behind PgBouncer no connection breaks."""
        bed.add(grant())
        with member(bed, "a") as one:
            before = await self.refreshed(bed, one)
            self.lose(bed, before)
            one.failover._server = START
            with pytest.raises(StoreUnavailable, match="just come back"):
                await one.claim()
            assert 1 == (await one.replicas.sign_of_life()).restored

    async def test_a_process_that_died_leaves_its_answers_to_the_next(self, bed: PostgresBed) -> None:
        """It may end while an answer is spooled, though uncommitted."""
        bed.add(grant())
        with member(bed, "a", spool="spool") as one:
            self.lose(bed, await self.refreshed(bed, one))
        with member(bed, "b", spool="spool") as two:
            assert 1 == (await two.replicas.sign_of_life()).restored
        assert {"a": Secret("the-new-one")} == tokens(bed)

    async def test_a_living_process_keeps_its_spool_to_itself(self, bed: PostgresBed) -> None:
        """Two replicas on one machine may share a directory."""
        bed.add(grant())
        with member(bed, "a", spool="spool") as one:
            self.lose(bed, await self.refreshed(bed, one))
            with member(bed, "b", spool="spool") as two:
                assert 0 == (await two.replicas.sign_of_life()).restored

    async def held(self, two: Member, found: int = 2) -> CredentialHeld | None:
        """What the rollback guard of another replica does with a row whose newest answer is lost, by what Redis shows."""
        await two.replicas.sign_of_life()
        [attempt] = await two.claim()
        return await two.store.hold(attempt, Counters(generation=found, revision=2), now=two.time.now())

    async def test_a_hold_does_not_shut_out_the_spool(self, bed: PostgresBed) -> None:
        """The row shows Redis' generation by then, but its token is a spent one, and the living one lies in the spool."""
        bed.add(grant())
        with member(bed, "a", spool="spool") as one:
            self.lose(bed, await self.refreshed(bed, one))
        with member(bed, "b") as two:
            assert await self.held(two) is not None
        with member(bed, "a", spool="spool") as one:
            assert 1 == (await one.replicas.sign_of_life()).restored
            assert 0 == (await one.replicas.sign_of_life()).restored
        row = bed.row("a")
        assert ("active", None, 2) == (row["health"], row["reason"], row["generation"])
        assert row["unpublished_events"].endswith("held,resumed,refreshed,")
        assert {"a": Secret("the-new-one")} == tokens(bed)

    async def test_a_replica_that_noticed_nothing_ends_the_hold_too(self, bed: PostgresBed) -> None:
        """The database may have gone back without a restart; whoever started since has compared it with Redis."""
        bed.add(grant())
        with member(bed, "a") as one, member(bed, "b") as two:
            self.lose(bed, await self.refreshed(bed, one))
            await self.held(two)
            assert (1, 0) == ((await one.replicas.sign_of_life()).restored, one.failover.count)
        assert {"a": Secret("the-new-one")} == tokens(bed)

    async def test_a_hold_for_a_still_newer_answer_stays(self, bed: PostgresBed) -> None:
        """What lies here is spent as well, if Redis shows a later generation: that one is in another spool, or lost."""
        bed.add(grant())
        with member(bed, "a") as one, member(bed, "b") as two:
            self.lose(bed, await self.refreshed(bed, one))
            await self.held(two, found=3)
            assert 0 == (await one.replicas.sign_of_life()).restored
        assert ("held", 3) == (bed.row("a")["health"], bed.row("a")["generation"])

    async def test_the_newest_answer_of_several_spools_is_put_back(self, bed: PostgresBed) -> None:
        """Two replicas with one directory died with the primary: whose file is the younger one says nothing about a row."""
        bed.add(grant())
        with member(bed, "a", spool="spool") as one, member(bed, "b", spool="spool") as two:
            await one.replicas.sign_of_life()
            before = await self.refreshed(bed, two)
            bed.edit("a", next_attempt_at=before["next_attempt_at"])
            [again] = await one.claim()
            assert Committed() == await one.commit(again, success(refresh="the-living-one"))
            bed.add(grant("z"))
            [later] = await two.claim()
            assert Committed() == await two.commit(later, success(refresh="of-z"))
        self.lose(bed, before)
        with member(bed, "c", spool="spool") as three:
            assert 1 == (await three.replicas.sign_of_life()).restored
        assert Secret("the-living-one") == tokens(bed)["a"]

    async def test_an_outage_longer_than_the_spool_keeps_forgets_nothing(self, bed: PostgresBed) -> None:
        """What was committed just before the outage may be missing after it, however long that took."""
        bed.add(grant())
        with member(bed, "a") as one:
            before = await self.refreshed(bed, one)
            one.store._commits._keep([])  # what is committed is settled with the next answer
            one.failover.lost()
            one.clock.advance(timedelta(seconds=2 * KEEP))
            one.store._commits._keep([])
            self.lose(bed, before)
            assert 1 == (await one.replicas.sign_of_life()).restored

    async def test_a_new_login_is_not_overwritten(self, bed: PostgresBed) -> None:
        """Another family: what was spooled belongs to the login before (protocol R14)."""
        bed.add(grant())
        with member(bed, "a") as one:
            self.lose(bed, await self.refreshed(bed, one))
            bed.add(grant(token="a-person-has-logged-in"), replace=True)
            bed.edit("a", generation=1)
            one.failover.lost()
            assert 0 == (await one.replicas.sign_of_life()).restored
        assert {"a": Secret("a-person-has-logged-in")} == tokens(bed)

    async def test_a_late_answer_to_the_spent_token_cannot_overwrite(self, bed: PostgresBed) -> None:
        """Another replica had asked with the old token meanwhile; its refusal finds the row changed."""
        bed.add(grant())
        with member(bed, "a") as one, member(bed, "b") as two:
            before = await self.refreshed(bed, one)
            self.lose(bed, before)
            await two.replicas.sign_of_life()
            [attempt] = await two.claim()
            one.failover.lost()
            assert 1 == (await one.replicas.sign_of_life()).restored
            assert isinstance(await two.commit(attempt, success(refresh="of-a-dead-family")), Conflict)
        assert {"a": Secret("the-new-one")} == tokens(bed)


class TestReplicas:
    async def test_the_living_are_counted_and_one_keeps_house(self, bed: PostgresBed) -> None:
        """Whoever leaves in an orderly way is missed at once."""
        with member(bed, "a") as one, member(bed, "b") as two:
            first = await one.replicas.sign_of_life()
            second = await two.replicas.sign_of_life()
            assert [(1, True), (2, False)] == [(first.living, first.on_duty), (second.living, second.on_duty)]
            await one.replicas.sign_off()
            third = await two.replicas.sign_of_life()
            assert (1, True) == (third.living, third.on_duty)

    async def test_a_key_that_a_living_replica_seals_with_is_not_retired(self, bed: PostgresBed) -> None:
        """Its copy of the ring may be an older one."""
        bed.add(grant())
        with member(bed, "a") as one:
            await one.replicas.sign_of_life()
            old, new = bed.sealer.primary_key_id, add_key(bed.ring)
            retirement = Retirement(bed.engines, KeyRingFile(bed.ring))
            with pytest.raises(StoreRefused, match=f"still seals with the key {old}"):
                retirement.retire(ring=[new, old], daemon=False)

    async def test_what_others_committed_is_left_to_them_to_publish(self, bed: PostgresBed) -> None:
        """For a moment; then anybody does it, as they may be dead."""
        bed.add(grant())
        with member(bed, "a") as one, member(bed, "b") as two:
            await one.replicas.sign_of_life()
            [attempt] = await one.claim()
            await one.commit(attempt, success())
            assert [0, 1, 0] == [len(await each.store.unpublished(limit=9)) for each in (two, one, one)]
            bed.edit("a", updated_at=1)
            assert 1 == len(await two.store.unpublished(limit=9))


def test_a_host_that_hangs_delays_a_connection_by_less_than_the_pause_counts_with(bed: PostgresBed) -> None:
    """A machine that is frozen takes connections and never speaks; each host has its own limit, whatever a commit may take."""
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        there = make_url(bed.url)
        hosts = f"127.0.0.1:{frozen.getsockname()[1]},127.0.0.1:{there.port}"
        engines = PostgresEngines(
            f"postgresql://{there.username}:{there.password}@{hosts}/{there.database}", limit=30 * SECOND
        )
        began = time.monotonic()
        try:
            engines.check()
        finally:
            engines.close()
        assert time.monotonic() - began < (CONNECT_TIMEOUT + 2 * SECOND).total_seconds()


class TestKeyChange:
    """Each machine has a ring of its own; one has gained a key."""

    @staticmethod
    def resealer(bed: PostgresBed, one: Member, observer: RecordingObserver) -> Resealer:
        rows = SqlSealedRows(
            one.store.threads,
            bed.codec,
            bed.sealer,
            bed.environment,
            clock=one.time,
            engines=one.engines,
            owner=one.name,
        )
        return Resealer(ring=bed.sealer, rows=rows, observer=observer)

    async def test_a_key_is_taken_up_when_every_living_replica_has_it(self, bed: PostgresBed) -> None:
        """Once everything was sealed anew at once, and the other machine held each credential that fell due there."""
        bed.add(grant("a"), grant("b"), grant("c"))
        shutil.copy(bed.ring, bed.directory / "ring-2")
        observer = RecordingObserver()
        with replace(bed, ring_name="ring-2") as beside, member(bed, "a") as one, member(beside, "b") as two:
            first = self.resealer(bed, one, observer)
            for each in (one, two):
                await each.replicas.sign_of_life()
            await first.round()
            old, new = bed.sealer.primary_key_id, add_key(bed.ring)
            await first.round()
            assert (old, ["keys.waits_for_replicas"]) == (bed.sealer.primary_key_id, observer.names())
            assert ["a"] == [attempt.credential.id for attempt in await two.claim(1)]
            shutil.copy(bed.ring, beside.ring)
            await two.replicas.sign_of_life()
            await first.round()
            assert new == bed.sealer.primary_key_id
            assert {new: 4} == dict(Retirement(bed.engines, bed.sealer).rows_by_key())
            assert ["b", "c"] == sorted(attempt.credential.id for attempt in await two.claim())

    async def test_a_replica_that_starts_with_a_new_first_key_seals_as_the_others_do(self, bed: PostgresBed) -> None:
        """The first pod of a rolling restart; the last one lets the key be taken up."""
        bed.add(grant("a"))
        observer = RecordingObserver()
        shutil.copy(bed.ring, bed.directory / "ring-2")
        with replace(bed, ring_name="ring-2") as beside, member(bed, "a") as one:
            await self.resealer(bed, one, RecordingObserver()).round()
            await one.replicas.sign_of_life()
            old, new = bed.sealer.primary_key_id, add_key(beside.ring)
            with replace(beside) as newer, member(newer, "b") as two:
                assert new == newer.sealer.primary_key_id
                second = self.resealer(newer, two, observer)
                await second.round()
                assert old == newer.sealer.primary_key_id
                await one.replicas.sign_off()
                await second.round()
                assert new == newer.sealer.primary_key_id
        assert ["keys.waits_for_replicas", "keys.taken_up", "keys.resealed"] == observer.names()

    async def test_an_unchanged_ring_needs_nobodys_word(self, bed: PostgresBed) -> None:
        """An older program says nothing about its ring."""
        observer = RecordingObserver()
        with member(bed, "a") as one, member(bed, "b") as two:
            await self.resealer(bed, one, observer).round()
            await one.replicas.sign_of_life()
            with bed.engines.write.begin() as connection:
                connection.execute(text("UPDATE replica SET key_ids = NULL"))
            await self.resealer(bed, two, observer).round()
        assert [] == observer.names()


class TestSchema:
    def test_of_many_that_start_at_once_one_migrates(self, postgres_server: PostgresServer) -> None:
        """The others wait for it."""
        url = postgres_server.database()

        def start(_number: int) -> str:
            engines = PostgresEngines(url, limit=timedelta(seconds=30))
            try:
                return migrate(engines, now=START).after
            finally:
                engines.close()

        with ThreadPoolExecutor(5) as pool:
            assert [HEAD] * 5 == list(pool.map(start, range(5)))

    async def test_a_running_replica_leaves_a_newer_schema_to_newer_programs(self, bed: PostgresBed) -> None:
        """It says so and claims nothing; what it has under way it still stores."""
        bed.add(grant("a"), grant("b"))
        with member(bed, "a") as one:
            await one.replicas.sign_of_life()
            [attempt] = await one.claim(1)
            with bed.engines.write.begin() as connection:
                connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
            await one.replicas.sign_of_life()
            with pytest.raises(StoreUnavailable, match="install the newer refreshd"):
                await one.claim()
            assert Committed() == await one.commit(attempt, success())
            with bed.engines.read.begin() as connection, pytest.raises(StoreRefused, match="9999"):
                refuse_newer(schema_version(connection))

    def test_a_database_that_lies_about_commits_is_refused(self, postgres_server: PostgresServer) -> None:
        """As SQLite is, when it does not accept synchronous=FULL."""
        url = postgres_server.database()
        postgres_server.ask(f'ALTER DATABASE "{url.rpartition("/")[2]}" SET synchronous_commit = off')
        engines = PostgresEngines(url, limit=5 * SECOND)
        with pytest.raises(StoreRefused, match="synchronous_commit"):
            engines.check()
        engines.close()


async def test_everything_goes_through_pgbouncer_in_transaction_mode(
    bed: PostgresBed, postgres_server: PostgresServer
) -> None:
    """Three replicas on three connections: no session state, no prepared statement, the limits in each transaction."""
    bed.add(*(grant(f"c{number:03}") for number in range(120)))
    with PgBouncer(postgres_server) as bouncer:
        url = bouncer.through(bed.url)
        with (
            member(bed, "a", url=url) as one,
            member(bed, "b", url=url) as two,
            member(bed, "c", url=url) as three,
        ):
            await asyncio.gather(*(_work(each) for each in (one, two, three)))
            with one.engines.write.begin() as connection:
                assert "5s" == connection.scalar(text("SHOW statement_timeout"))
    assert 120 == sum(token.reveal().startswith("new-") for token in tokens(bed).values())
    with bed.engines.read.begin() as connection:
        assert 120 == len(connection.execute(select(credential.c.id).where(credential.c.published_revision > 1)).all())


async def _work(one: Member) -> None:
    """Claim, commit and publish until nothing is due."""
    await one.replicas.sign_of_life()
    while attempts := await one.claim(9):
        await asyncio.gather(*(one.commit(each, success(refresh=f"new-{each.credential.id}")) for each in attempts))
        while pending := await one.store.unpublished(limit=100):
            await one.store.mark_published(pending)


async def test_a_frozen_transaction_does_not_hold_the_others_up(bed: PostgresBed) -> None:
    """A replica that stops between two statements loses its locks after the limit."""
    bed.add(grant())
    with member(bed, "a") as one:
        engines = PostgresEngines(bed.url, limit=SECOND)
        with engines.write.connect() as frozen:
            frozen.execute(update(credential).values(paused=1))
            await asyncio.sleep(1.5)
            await one.store.touch(now=one.time.now())
            with bed.engines.write.begin() as connection:
                connection.execute(update(credential).values(paused=0))
            frozen.invalidate()
        engines.close()


class TestTls:
    """`sslmode=verify-full`: nobody else's server gets our tokens."""

    @pytest.fixture
    def certificate(self) -> Iterator[Path]:
        """For 127.0.0.1, in a directory that PostgreSQL's user may enter."""
        directory = Path(tempfile.mkdtemp(prefix="postgres-tls-"))
        self_signed(directory)
        if os.geteuid() == 0:
            for path in (directory, *directory.iterdir()):
                shutil.chown(path, "postgres", "postgres")
        yield directory
        shutil.rmtree(directory, ignore_errors=True)

    def test_the_right_server_is_talked_to_and_another_is_not(self, certificate: Path) -> None:
        """By its name, and by who has signed for it."""
        key, cert = sorted(certificate.iterdir(), key=lambda path: "PRIVATE" not in path.read_text())
        key.chmod(0o600)
        settings = {"ssl": "on", "ssl_cert_file": str(cert), "ssl_key_file": str(key)}
        with PostgresServer(settings) as server:
            url = f"{server.url()}?sslmode=verify-full&sslrootcert={cert}"
            right = PostgresEngines(url, limit=5 * SECOND)
            with right.read.begin() as connection:
                assert connection.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
            right.close()
            for wrong, words in (
                (url.replace("127.0.0.1", "localhost"), "does not match host name"),
                (f"{server.url()}?sslmode=verify-full&sslrootcert=/nowhere", "root certificate"),
            ):
                engines = PostgresEngines(wrong, limit=5 * SECOND)
                with pytest.raises(OperationalError, match=words) as refused, engines.read.connect():
                    pass
                assert PASSWORD not in str(refused.value)
                engines.close()
