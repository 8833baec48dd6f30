"""The database's time on our own steady clock, and the moment of caution after it was away."""

from datetime import timedelta

import pytest

from refreshd.adapters.sql.database_clock import DatabaseClock
from refreshd.adapters.sql.engines import DatabaseTime
from refreshd.adapters.sql.failover import PAUSE, Failover
from refreshd.ports.store import StoreUnavailable
from tests.fakes import START, FakeClock

SECOND = timedelta(seconds=1)
THERE = START + timedelta(days=40)


def read(clock: DatabaseClock, own: FakeClock, offset: timedelta = timedelta(days=40), *, took: float = 0.0) -> None:
    """One question, answered in its middle."""
    before = own.boottime()
    own.advance(timedelta(seconds=took / 2))
    at = own.now() + offset
    own.advance(timedelta(seconds=took / 2))
    clock.read(at, before=before, after=own.boottime())


class TestDatabaseClock:
    def test_it_tells_what_the_database_would(self) -> None:
        """Whatever our own wall clock says, and also while nobody asks."""
        own = FakeClock()
        clock = DatabaseClock(own)
        read(clock, own)
        own.advance(timedelta(hours=1))
        own.step(timedelta(days=-7))
        assert START + timedelta(days=40, hours=1) == clock.now()

    def test_a_slow_answer_does_not_spoil_a_good_one(self) -> None:
        """A question that took four seconds says less than one that took none."""
        own = FakeClock()
        clock = DatabaseClock(own)
        read(clock, own)
        before = own.boottime()
        own.advance(4 * SECOND)
        clock.read(own.now() + timedelta(days=40), before=before, after=own.boottime())  # answered at its very end
        assert abs(clock.now() - own.now() - timedelta(days=40)) < 0.01 * SECOND

    def test_a_clock_that_was_set_is_followed(self) -> None:
        """No drift explains it."""
        own = FakeClock()
        clock = DatabaseClock(own)
        read(clock, own)
        own.advance(2 * SECOND)
        read(clock, own, timedelta(days=40, hours=-1))
        assert own.now() + timedelta(days=40, hours=-1) == clock.now()

    def test_our_clocks_drift_is_followed(self) -> None:
        """A thousandth of what has passed since the last reading."""
        own = FakeClock()
        clock = DatabaseClock(own)
        offset = timedelta(days=40)
        for _ in range(100):
            read(clock, own, offset)
            own.advance(2 * SECOND)
            offset += 0.0005 * SECOND
        assert abs(clock.now() - own.now() - offset) < 0.01 * SECOND


def found(age: timedelta = timedelta(hours=1), began: timedelta = timedelta(0)) -> DatabaseTime:
    return DatabaseTime(at=START + began + age, server=START + began)


class TestFailover:
    def test_nothing_is_claimed_before_what_we_hold_is_back(self) -> None:
        """Also at a start: a process before us may have left something."""
        failover = Failover(FakeClock())
        with pytest.raises(StoreUnavailable):
            failover.check(found())
        failover.restored()
        failover.check(found())

    def test_others_have_time_to_bring_theirs(self) -> None:
        """From the last time that it was away."""
        clock = FakeClock()
        failover = Failover(clock)
        failover.restored()
        failover.lost()
        failover.restored()
        clock.advance(PAUSE - SECOND)
        failover.lost()
        failover.restored()
        clock.advance(PAUSE - SECOND)
        with pytest.raises(StoreUnavailable):
            failover.check(found())
        clock.advance(SECOND)
        failover.check(found())

    def test_another_server_counts_as_a_loss(self) -> None:
        """Nobody else may have told us."""
        failover = Failover(FakeClock())
        failover.restored()
        failover.check(found())
        with pytest.raises(StoreUnavailable):
            failover.check(found(began=-SECOND))
        assert (1, True) == (failover.count, failover.restoring)

    def test_a_server_that_has_just_started_is_waited_for(self) -> None:
        """We may have started after it went away."""
        failover = Failover(FakeClock())
        failover.restored()
        with pytest.raises(StoreUnavailable):
            failover.check(found(PAUSE - SECOND))
        failover.check(found(PAUSE))
