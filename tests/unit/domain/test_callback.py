"""What comes back from the browser: only who knows our state ends a login, and nothing that is sent can do harm."""

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.domain.authorization import AuthorizationCode, LoginProfile, authorization_request
from refreshd.domain.callback import Declined, MixedUp, NotOurs, Strange, read_callback, read_pasted
from refreshd.domain.secret import Secret

ISSUER = "https://login.example"
PROFILE = LoginProfile(authorization_endpoint=f"{ISSUER}/auth", client_id="id", issuer=ISSUER)
REQUEST = authorization_request(
    PROFILE, redirect_uri="http://127.0.0.1:8765/callback", state=b"s" * 32, verifier=b"v" * 48
)
CODE = AuthorizationCode(code=Secret("the-code"), verifier=REQUEST.verifier, redirect_uri=REQUEST.redirect_uri)
STATE = REQUEST.state


def query(*pairs: tuple[str, str]) -> str:
    return urlencode(pairs)


GOOD = query(("code", "the-code"), ("state", STATE), ("iss", ISSUER))


def strange(cause: Strange) -> NotOurs:
    return NotOurs(cause=cause)


def test_the_answer_to_our_request_is_its_code() -> None:
    """With the verifier and the address that the exchange must repeat."""
    assert CODE == read_callback(GOOD, REQUEST)


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        ("", Strange.STATE_MISSING),
        (query(("code", "the-code")), Strange.STATE_MISSING),
        (query(("error", "access_denied")), Strange.STATE_MISSING),
        (query(("code", "the-code"), ("state", "")), Strange.STATE_FOREIGN),
        (query(("code", "the-code"), ("state", STATE[:-1])), Strange.STATE_FOREIGN),
        (query(("code", "the-code"), ("state", STATE + "A")), Strange.STATE_FOREIGN),
        (query(("code", "the-code"), ("state", STATE.lower())), Strange.STATE_FOREIGN),
        (query(("error", "access_denied"), ("state", "foreign")), Strange.STATE_FOREIGN),
        ("state=\udcff", Strange.STATE_FOREIGN),
        (GOOD + "&state=" + STATE, Strange.DUPLICATED),
        (GOOD + "&code=another", Strange.DUPLICATED),
        (GOOD + "&iss=" + ISSUER, Strange.DUPLICATED),
        (GOOD + "&other=1&other=1", Strange.DUPLICATED),
        (query(("state", STATE)), Strange.NOTHING),
        (query(("state", STATE), ("code", "")), Strange.NOTHING),
        (query(("state", STATE), ("error", "")), Strange.NOTHING),
        (query(("state", STATE), ("code", "line\nbreak")), Strange.NOTHING),
        (query(("state", STATE), ("code", "c" * 8193)), Strange.NOTHING),
        ("state=%ff", Strange.UNREADABLE),
        ("&".join(f"p{number}=1" for number in range(65)), Strange.UNREADABLE),
        ("code=" + "c" * 32768, Strange.UNREADABLE),
    ],
)
def test_what_is_not_our_answer_changes_nothing(sent: str, cause: Strange) -> None:
    """A foreign page cannot end a login, nor slip in a code of its own."""
    assert strange(cause) == read_callback(sent, REQUEST)


@pytest.mark.parametrize("found", ["https://evil.example", f"{ISSUER}/", ISSUER.upper(), ""])
def test_another_issuer_gets_no_code(found: str) -> None:
    """RFC 9207 §2.4: compared to the letter, in errors too."""
    for pair in (("code", "the-code"), ("error", "access_denied")):
        answer = read_callback(query(pair, ("state", STATE), ("iss", found)), REQUEST)
        assert MixedUp(expected=ISSUER, found=found) == answer


def test_an_issuer_that_must_be_named_and_is_not() -> None:
    """Required only where the provider's metadata promises it; nothing to compare with is nothing to refuse."""
    silent = query(("code", "the-code"), ("state", STATE))
    assert CODE == read_callback(silent, REQUEST)
    assert MixedUp(expected=ISSUER, found=None) == read_callback(silent, replace(REQUEST, iss_required=True))
    assert CODE == read_callback(GOOD, replace(REQUEST, issuer=None))


def test_the_providers_no_is_kept_in_its_words_without_their_power() -> None:
    """They go to a terminal: one line, no escape sequence, short."""
    described = "not\x1b[2J to\u202eday\n" + "x" * 500
    answer = read_callback(
        query(("error", "access_denied"), ("error_description", described), ("state", STATE)), REQUEST
    )
    assert isinstance(answer, Declined)
    assert ("access_denied", 200) == (answer.error, len(answer.description))
    assert answer.description.startswith("not [2J to day x")
    odd = read_callback(query(("error", "\x1b]0;title\x07"), ("state", STATE)), REQUEST)
    assert Declined(error="unreadable_error") == odd


@given(st.text(max_size=300))
def test_no_text_raises_and_none_is_a_code_without_the_state(text: str) -> None:
    """Whatever a stranger sends to the port."""
    assert isinstance(read_callback(text, REQUEST), NotOurs)


@given(st.lists(st.tuples(st.sampled_from(["code", "state", "iss", "error", "x"]), st.text(max_size=50)), max_size=6))
def test_no_parameters_raise_and_none_is_a_code_without_the_state(pairs: list[tuple[str, str]]) -> None:
    """As above, closer to the truth."""
    sent = urlencode(pairs, errors="surrogatepass")
    assert isinstance(read_callback(sent, REQUEST), NotOurs)
    assert isinstance(read_callback("&".join(f"{name}={value}" for name, value in pairs), REQUEST), NotOurs)


@pytest.mark.parametrize(
    "pasted",
    [
        f"http://127.0.0.1:8765/callback?{GOOD}",
        f"  http://127.0.0.1:8765/callback?{GOOD}#fragment \n",
        f"/callback?{GOOD}",
        f"?{GOOD}",
        GOOD,
        f"{GOOD}#fragment",
    ],
)
def test_a_pasted_address_is_read_as_a_callback(pasted: str) -> None:
    """Whole, or as much of it as the browser let a person copy."""
    assert CODE == read_pasted(pasted, REQUEST)


@pytest.mark.parametrize(
    ("pasted", "cause"),
    [
        ("http://127.0.0.1:8765/callback", Strange.NOTHING),
        (f"http://127.0.0.1:8765/callback?state={STATE}", Strange.NOTHING),
        ("http://127.0.0.1:8765/callback?code=the-code-and-no-state", Strange.STATE_MISSING),
        ("code=the-code-and-no-state", Strange.STATE_MISSING),
        (f"http://127.0.0.1:8765/callback?{GOOD}&code=2", Strange.DUPLICATED),
        (f"http://127.0.0.1:8765/other?{GOOD}", Strange.ELSEWHERE),
        (f"http://evil.example/callback?{GOOD}", Strange.ELSEWHERE),
        (f"https://127.0.0.1:8765/callback?{GOOD}", Strange.ELSEWHERE),
        (REQUEST.url, Strange.ELSEWHERE),
        ("http://[broken/callback?code=1", Strange.ELSEWHERE),
        ("rubbish", Strange.UNREADABLE),
        ("two words that are no code", Strange.UNREADABLE),
        ("", Strange.UNREADABLE),
        ("x" * 40000, Strange.UNREADABLE),
        ("0123456789abcde", Strange.UNREADABLE),
    ],
)
def test_pasted_rubbish_is_refused(pasted: str, cause: Strange) -> None:
    """It is asked for again, and nothing is sent anywhere."""
    assert strange(cause) == read_pasted(pasted, REQUEST)


def test_a_bare_code_is_taken() -> None:
    """Where a page shows only that; the person who pastes it is the one who began."""
    answer = read_pasted("  4/0AbCd-EfGh_IjKl~\n", REQUEST)
    assert isinstance(answer, AuthorizationCode)
    assert Secret("4/0AbCd-EfGh_IjKl~") == answer.code


@pytest.mark.parametrize("host", ["localhost", "LocalHost"])
def test_a_pasted_host_may_be_written_in_any_case(host: str) -> None:
    """RFC 3986 §6.2.2.1; the path may not."""
    here = replace(REQUEST, redirect_uri="http://LOCALhost:1/cb")
    assert isinstance(read_pasted(f"http://{host}:1/cb?{GOOD}", here), AuthorizationCode)
    assert strange(Strange.ELSEWHERE) == read_pasted(f"http://{host}:1/CB?{GOOD}", here)


@given(st.text(max_size=300))
def test_no_pasted_text_raises(text: str) -> None:
    """Whatever lies in a clipboard."""
    assert isinstance(read_pasted(text, REQUEST), AuthorizationCode | NotOurs)
