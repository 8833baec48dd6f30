"""The order of work after an outage, as the provider saw it."""

import pytest

from bench.outage import overtaken


@pytest.mark.parametrize(
    ("order", "expected"),
    [("ddeellxx", 0), ("dexdlx", 2), ("xxxxd", 4), ("ddxx", 0), ("xx", 0)],
)
def test_the_worst_class_counts(order: str, expected: int) -> None:
    """Requests of less urgent classes before the last of a more urgent one; a class that never came overtook nobody."""
    assert expected == overtaken(order)
