"""The judge of crashes: a provider that was late explains what reached it after a death, and nothing else does."""

import pytest

from refreshd.demo.dialects import Verdict
from refreshd.demo.grants import IssuedToken, Presentation
from tests.programme.crashing.judge import Death, unexplained_reuses
from tests.programme.daemons.lateness import lag_of

DEATH = Death(case=1, at=101.0, open_attempts={"acme/1": 100.0})


@pytest.mark.parametrize(
    ("first", "standstill", "explained"),
    [
        (100.5, (0.0, 0.0), True),
        (102.9, (0.0, 0.0), True),
        (104.0, (0.0, 0.0), False),
        (104.0, (100.5, 103.0), True),
        (104.0, (97.0, 101.0), False),
        (99.0, (98.0, 104.0), False),
    ],
)
def test_a_request_that_lay_in_a_socket_was_sent_before_the_death(
    *, first: float, standstill: tuple[float, float], explained: bool
) -> None:
    """Later than two seconds after it, only a standstill since the death can have kept it."""
    looks = [Presentation(first, Verdict.ROTATED, "acme"), Presentation(106.0, Verdict.REUSED, "acme")]
    token = IssuedToken("rt", "family-1", 0, 90.0, presentations=looks)
    texts = unexplained_reuses([token], {"family-1": "acme/1"}, [DEATH], settle_delay=1.0, lag=lag_of([standstill]))
    assert explained == (not texts)
