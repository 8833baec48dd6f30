"""Tokens, their types and scopes as texts: which may be stored and published, whichever way they come, and how they are read."""

import re

LONGEST = 16 * 1024

# a lone surrogate cannot be encoded, PostgreSQL takes no NUL, and a line end in a token would be a header of its own
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def has_control(text: str) -> bool:
    return not _is_printable_ascii(text) and _CONTROL.search(text) is not None


def has_surrogate(text: str) -> bool:
    return not text.isascii() and _SURROGATE.search(text) is not None


def is_plain(text: str) -> bool:
    """Fit to be stored, sent and shown."""
    return len(text) <= LONGEST and not (has_control(text) or has_surrogate(text))


def is_access_token(text: str) -> bool:
    """Fit for an Authorization header (RFC 6750 §2.1)."""
    return text != "" and " " not in text and is_plain(text)


def is_bearer(token_type: str) -> bool:
    """Case does not count (RFC 6749 §5.1)."""
    return token_type.lower() == "bearer"


def scope_words(scope: str) -> tuple[str, ...]:
    """The single scopes, in order: parted by spaces (RFC 6749 §3.3), or by commas as Adobe and GitHub write them."""
    return tuple(scope.replace(",", " ").split())


def _is_printable_ascii(text: str) -> bool:
    """As almost every token is: far quicker than a search."""
    return text.isascii() and text.isprintable()
