"""What probes are told: about ourselves and the store alone, and never so that a restart loses an answer."""

from datetime import timedelta

from refreshd.service.health import Health
from tests.fakes import FakeClock

SECOND = timedelta(seconds=1)


def health() -> tuple[Health, FakeClock]:
    clock = FakeClock()
    return Health(clock, scan_interval=SECOND), clock


def test_it_is_ready_once_the_store_has_answered_a_scan() -> None:
    """Recovery comes before the first scan."""
    one, _ = health()
    before = one.ready
    one.scanned(store_answered=True)
    assert (False, True) == (before, one.ready)
    one.scanned(store_answered=False)
    assert not one.ready


def test_a_store_that_hangs_is_not_ready_and_soon_not_live() -> None:
    """The scan waits for it: after 10 s nothing is to be expected, after 30 s the loop does not come round."""
    one, clock = health()
    one.scanned(store_answered=True)
    states = []
    for _ in range(4):
        states.append((one.ready, one.live))
        clock.advance(9.9 * SECOND)
    assert [(True, True), (True, True), (False, True), (False, True)] == states
    assert (False, False) == (one.ready, one.live)


def test_nobody_kills_the_process_that_holds_an_answer() -> None:
    """R6: it exists in this process alone; a liveness probe that restarts it would lose the login."""
    one, clock = health()
    one.holds(1)
    clock.advance(timedelta(hours=1))
    held = one.live
    one.holds(-1)
    assert (True, False) == (held, one.live)


def test_a_drain_is_live_and_not_ready() -> None:
    """It takes as long as its requests take."""
    one, clock = health()
    one.scanned(store_answered=True)
    one.drain()
    clock.advance(timedelta(hours=1))
    assert (True, False) == (one.live, one.ready)
