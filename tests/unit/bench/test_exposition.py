"""What a histogram saw between two scrapes."""

import math

from bench.exposition import highest, quantile, read_samples, total

BEFORE = read_samples('lag_bucket{le="0.1"} 5\nlag_bucket{le="0.2"} 5\nlag_bucket{le="+Inf"} 5\n')
AFTER = read_samples('lag_bucket{le="0.1"} 55\nlag_bucket{le="0.2"} 105\nlag_bucket{le="+Inf"} 105\n')


def test_only_what_came_between_the_scrapes_counts() -> None:
    """100 observations, half of them up to 0.1: the 75th lies in the middle of the second bucket."""
    assert math.isclose(0.15, quantile(BEFORE, AFTER, "lag", 0.75))
    assert math.isclose(0.05, quantile(BEFORE, AFTER, "lag", 0.25))


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    """What the histogram cannot tell is not made up."""
    after = read_samples('lag_bucket{le="0.1"} 10\nlag_bucket{le="+Inf"} 100\n')
    assert 0.1 == quantile({}, after, "lag", 0.99)
    assert math.isinf(highest({}, after, "lag"))


def test_nothing_observed_is_not_zero() -> None:
    """A histogram that nothing was put into has no quantile."""
    assert math.isnan(quantile(AFTER, AFTER, "lag", 0.99))
    assert math.isnan(highest(AFTER, AFTER, "lag"))


def test_no_observation_exceeds_the_highest() -> None:
    """The bound of the last bucket that grew."""
    assert 0.2 == highest(BEFORE, AFTER, "lag")


def test_samples_are_summed_over_their_labels() -> None:
    """Exponents and labels of any kind are read."""
    samples = read_samples('# HELP n text\nn{client="a"} 1.5e+03\nn{client="b"} 2\nn_other 7\n')
    assert 1502.0 == total(samples, "n")
    assert 2.0 == total(samples, "n", 'client="b"')
