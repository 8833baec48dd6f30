"""The database's time on our own steady clock, and the moment of caution after it was away."""

from datetime import datetime, timedelta

from refreshd.adapters.sql.database_clock import DatabaseClock
from refreshd.adapters.sql.engines import DatabaseTime
from refreshd.adapters.sql.failover import LATELY, Failover
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


PAUSE = 38 * SECOND


def back(clock: FakeClock, **others: datetime) -> Failover:
    """A database in which the others left these signs, after our first look at it."""
    failover = Failover(clock, pause=PAUSE)
    failover.await_others(others)
    failover.restored()
    return failover


def claims(failover: Failover, at: DatabaseTime | None = None) -> bool:
    try:
        failover.check(at or found())
    except StoreUnavailable:
        return False
    return True


class TestFailover:
    def test_nothing_is_claimed_before_what_we_hold_is_back(self) -> None:
        """Also at a start: a process before us may have left something."""
        failover = Failover(FakeClock(), pause=PAUSE)
        failover.await_others({})
        assert not claims(failover)
        failover.restored()
        assert claims(failover)

    def test_others_are_awaited_until_each_has_given_a_new_sign(self) -> None:
        """By its being another one: the clock of a new primary may be behind."""
        failover = back(FakeClock(), a=START, b=START + SECOND)
        assert not claims(failover)
        failover.await_others({"a": START - SECOND, "b": START + SECOND, "new": START})
        assert not claims(failover)
        failover.await_others({"a": START, "new": START})  # b has signed off
        assert claims(failover)

    def test_a_loss_begins_it_anew(self) -> None:
        """From the last time that it was away, with whom the database knows then."""
        clock = FakeClock()
        failover = back(clock, a=START)
        clock.advance(PAUSE - SECOND)
        failover.lost()
        failover.await_others({"a": START})
        failover.restored()
        clock.advance(PAUSE - SECOND)
        assert not claims(failover)
        clock.advance(SECOND)
        assert claims(failover)

    def test_the_long_dead_are_not_awaited(self) -> None:
        """What they committed last was not lost just now. An outage ages all alike."""
        failover = back(FakeClock(), newest=START, dead=START - LATELY)
        failover.await_others({"newest": START + SECOND, "dead": START - LATELY})
        assert claims(failover)

    def test_another_server_counts_as_a_loss(self) -> None:
        """Nobody else may have told us."""
        failover = back(FakeClock())
        assert claims(failover)
        assert not claims(failover, found(began=-SECOND))
        assert (1, True) == (failover.count, failover.restoring)
