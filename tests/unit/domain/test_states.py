"""The page of states is what the code does."""

from tests.unit.domain.states import PAGE, page


def test_the_page_is_what_settle_decides() -> None:
    """Who reads docs/states.md reads the code. After a change: `make states`, and look at what changed."""
    assert PAGE.read_text(encoding="utf-8") == page()
