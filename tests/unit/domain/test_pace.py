"""Slow start after an outage (protocol §4)."""

import pytest

from refreshd.domain.outcome import Confirmation, Deferred, Misconfigured, Outcome, Rejected, Uncertain
from refreshd.domain.pace import OUTAGE_AFTER, Pace, learn, now_at, slowed
from tests.fakes import success

DOWN = Uncertain(code="http_502")
REFUSED = Rejected(code="invalid_grant", confirmation=Confirmation.FAST)


def after(*outcomes: Outcome, pace: Pace | None = None, at: float = 100.0) -> Pace:
    found = pace or Pace()
    for outcome in outcomes:
        found = learn(found, outcome, at=at)
    return found


@pytest.mark.parametrize(
    ("seconds", "share"), [(0.0, 0.1), (9.9, 0.1), (10.0, 0.2), (29.0, 0.4), (30.0, 0.8), (40.0, 1.0), (1e9, 1.0)]
)
def test_it_begins_at_a_tenth_and_doubles_every_ten_seconds(seconds: float, share: float) -> None:
    """Looked at once or a hundred times, the pace is the same."""
    often = slowed(5.0)
    for part in range(100):
        often = now_at(often, 5.0 + seconds * part / 100)
    assert share == now_at(slowed(5.0), 5.0 + seconds).share == now_at(often, 5.0 + seconds).share


@pytest.mark.parametrize("at", [0.0, 10.0, 1e9])
def test_a_client_at_its_whole_rate_is_left_alone(at: float) -> None:
    """Time changes nothing of what was never slowed."""
    assert Pace() == now_at(Pace(), at)


@pytest.mark.parametrize("proof", [success(), REFUSED])
def test_the_first_answer_after_an_outage_begins_it(proof: Outcome) -> None:
    """While the provider is down, back-off rules; the herd comes when it is back."""
    down = after(*[DOWN] * OUTAGE_AFTER)
    assert (1.0, OUTAGE_AFTER) == (down.share, down.failures)
    assert slowed(100.0) == after(proof, pace=down)


def test_a_few_failures_are_no_outage() -> None:
    """And are forgotten with the next answer."""
    pace = after(*[DOWN] * (OUTAGE_AFTER - 1), success())
    assert (1.0, 0) == (pace.share, pace.failures)


@pytest.mark.parametrize(("errors", "shares"), [(2, (0.2, 0.2)), (3, (0.1, 0.2))])
def test_several_errors_in_a_row_prolong_it(errors: int, shares: tuple[float, float]) -> None:
    """Ten seconds from the last of them; but a single one must not, or at hundreds a second it would never end."""
    pace = after(*[Deferred(code="http_429")] * errors, pace=slowed(100.0), at=108.0)
    assert shares == (now_at(pace, 110.0).share, now_at(pace, 118.0).share)


@pytest.mark.parametrize(
    "outcome", [Misconfigured(code="invalid_client"), Uncertain(code="concurrent_use", shared=True)]
)
def test_what_is_no_outage_changes_nothing(outcome: Outcome) -> None:
    """A wrong secret suspends the client; somebody else's use of our token is not the provider's failure."""
    assert after(DOWN) == after(DOWN, outcome)
