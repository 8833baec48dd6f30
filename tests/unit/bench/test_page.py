"""docs/performance.md has several authors."""

from bench.page import HEAD, replaced


def test_a_section_takes_its_own_place_and_leaves_the_others() -> None:
    """Measuring scale keeps what was measured of speed, and what people wrote."""
    page = replaced(replaced("", "Speed", "## Speed\n\nfast\n"), "Notes", "## Notes\n\nby hand\n")
    page = replaced(page, "Scale", "## Scale\n\nflat\n")
    page = replaced(page, "Speed", "## Speed\n\nfaster\n")
    assert f"{HEAD}\n## Speed\n\nfaster\n\n## Scale\n\nflat\n\n## Notes\n\nby hand\n" == page


def test_the_same_text_changes_nothing() -> None:
    """A page does not grow by being written."""
    once = replaced("", "Speed", "## Speed\n\nfast\n")
    assert once == replaced(once, "Speed", "## Speed\n\nfast\n")
