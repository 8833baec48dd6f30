"""Which texts are tokens: what passes here is stored, sent in a header and shown to programs."""

import pytest

from refreshd.domain.token_text import LONGEST, is_access_token


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("a", True),
        ("~+/=._-", True),
        ("a" * LONGEST, True),
        ("", False),
        ("a b", False),
        ("a\n", False),
        ("a\x7f", False),
        ("\ud800", False),
        ("a" * (LONGEST + 1), False),
    ],
)
def test_what_fits_into_an_authorization_header(text: str, *, fit: bool) -> None:
    """RFC 6750 §2.1: something, in one word and on one line, or a consumer's request says something else."""
    assert fit == is_access_token(text)
