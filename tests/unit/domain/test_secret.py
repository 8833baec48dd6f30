"""A token is shown only where `reveal()` is written."""

import copy
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest

from refreshd.domain.secret import Secret

PLAIN = "rt-4f9c1e"
SECRET = Secret(PLAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    token: Secret


def test_reveal_gives_the_text_back() -> None:
    """The one door out of a secret works: the line that sends a token sends the token."""
    assert SECRET.reveal() == PLAIN


@pytest.mark.parametrize(
    "shown",
    [
        lambda: repr(SECRET),
        lambda: str(SECRET),
        lambda: f"{SECRET}",
        lambda: f"{SECRET!r:>40}",
        lambda: f"{SECRET!s:^40}",
        lambda: f"{SECRET:>40}",
        lambda: "%s %r" % (SECRET, SECRET),  # noqa: UP031 - old formatting is what logging uses
        lambda: "{0} {0!r} {0!a}".format(SECRET),  # noqa: UP032 - the other way to format
        lambda: repr([SECRET]),
        lambda: repr(Holder(token=SECRET)),
        lambda: pprint.pformat({"token": SECRET}),
        lambda: json.dumps({"token": SECRET}, default=str),
        lambda: logging.LogRecord("n", logging.INFO, "p", 1, "token %s", (SECRET,), None).getMessage(),
    ],
)
def test_no_way_of_printing_shows_it(shown: Callable[[], str]) -> None:
    """A log line, an f-string or a dump of a structure never carries a token."""
    assert (PLAIN in shown(), "***" in shown()) == (False, True)


def test_what_is_shown_instead_says_that_it_is_a_secret() -> None:
    """Who reads a log sees that something was hidden there, not that it was missing."""
    assert repr(SECRET) == "Secret(***)"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_never_pickled(protocol: int) -> None:
    """A token does not leave the process in a pickle, whatever the protocol."""
    with pytest.raises(TypeError, match=r"^a Secret is never pickled$") as caught:
        pickle.dumps(Holder(token=SECRET), protocol)
    assert PLAIN not in str(caught.value)


def test_json_refuses_it() -> None:
    """A token does not slip into JSON, and the refusal does not quote it."""
    with pytest.raises(TypeError) as caught:
        json.dumps({"token": SECRET})
    assert PLAIN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda secret: asdict(Holder(token=secret))])
def test_it_is_never_copied_by_a_walk_over_a_structure(copied: object) -> None:
    """Generic copying, `asdict` included, fails loudly instead of spreading a token."""
    assert callable(copied)
    with pytest.raises(TypeError):
        copied(SECRET)


def test_it_has_no_dictionary_to_dump() -> None:
    """`vars()`, which tracebacks and debuggers use, finds nothing."""
    with pytest.raises(TypeError):
        vars(SECRET)


def test_equal_texts_are_equal_secrets_and_nothing_else_is() -> None:
    """Rotation is recognised by comparing secrets; a plain text never equals one."""
    assert [Secret("a") == Secret("a"), Secret("a") == Secret("b"), Secret("a") == "a"] == [True, False, False]
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert len({hash(Secret(str(number))) for number in range(100)}) > 90
    assert [bool(Secret("a")), bool(Secret(""))] == [True, False]
