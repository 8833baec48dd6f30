"""Whatever a token endpoint sends is given a meaning, and a refresh token in a success is never overlooked."""

import itertools
import json
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refreshd.domain.outcome import (
    ANOMALIES,
    Confirmation,
    Deferred,
    GrantedAccess,
    Misconfigured,
    Outcome,
    Refreshed,
    Rejected,
    Uncertain,
)
from refreshd.domain.secret import Secret
from refreshd.domain.token_response import MAX_BODY, Answer, read_answer
from tests.unit.domain.strategies import DAY, HOUR, MINUTE, NOW, SECOND

FAST, SLOW, SLOWEST = Confirmation.FAST, Confirmation.SLOW, Confirmation.SLOWEST
IN_HALF_A_MINUTE = "Tue, 03 Nov 2026 12:00:30 GMT"
HYDRA = {"access_token": "AT", "expires_in": 3599, "refresh_token": "RT", "scope": "offline", "token_type": "bearer"}


def read(
    status: int,
    body: object = b"",
    *,
    retry_after: str | None = None,
    complete: bool = True,
    codes: frozenset[str] = frozenset(),
) -> Outcome:
    """The outcome of one answer; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return read_answer(
        Answer(status=status, headers=headers, body=raw, complete=complete), now=NOW, rejection_codes=codes
    )


def success(body: object, *, complete: bool = True) -> Refreshed:
    outcome = read(200, body, complete=complete)
    assert isinstance(outcome, Refreshed)
    return outcome


def saved(outcome: Outcome) -> str | None:
    """The refresh token that would be stored."""
    return outcome.refresh_token.reveal() if isinstance(outcome, Refreshed) and outcome.refresh_token else None


def lifetime(expires_in: bytes) -> tuple[timedelta | None, tuple[str, ...]]:
    outcome = success(b'{"access_token":"AT","token_type":"bearer","expires_in":' + expires_in + b"}")
    assert outcome.access is not None
    return outcome.access.expires_in, outcome.anomalies


def brief(outcome: Outcome) -> tuple[object, ...]:
    """Class and code, and what decides about waiting."""
    match outcome:
        case Rejected():
            return (Rejected, outcome.code, outcome.confirmation)
        case Deferred():
            return (Deferred, outcome.code, outcome.throttled, outcome.retry_after)
        case Uncertain():
            return (Uncertain, outcome.code, outcome.shared)
        case _:
            return (type(outcome), outcome.code)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((code, (Rejected, code, FAST)) for code in ("invalid_grant", "token_inactive", "request_unauthorized")),
        *((code, (Rejected, code, FAST)) for code in ("access_denied", "login_required", "consent_required")),
        *((code, (Rejected, code, SLOW)) for code in ("invalid_request", "invalid_scope", "scope_not_granted")),
        *((code, (Misconfigured, code)) for code in ("invalid_client", "unauthorized_client")),
        ("unsupported_grant_type", (Misconfigured, "unsupported_grant_type")),
        ("server_error", (Uncertain, "server_error", False)),
    ],
)
def test_a_named_error_counts_whatever_the_status(status: int, error: str, expected: tuple[object, ...]) -> None:
    """Auth0 sends `invalid_grant` with 403, GitHub its errors with 200, Hydra `token_inactive` with 401 (§3)."""
    assert brief(read(status, {"error": error})) == expected


@pytest.mark.parametrize(
    ("status", "error", "throttled"),
    [
        (400, "slow_down", True),
        (400, "temporarily_unavailable", False),
        (503, "temporarily_unavailable", True),
        (429, "temporarily_unavailable", True),
    ],
)
def test_named_deferrals_wait_as_told(status: int, error: str, throttled: object) -> None:
    """A provider that asks for time gets it; one that speaks to the client slows the client."""
    assert brief(read(status, {"error": error}, retry_after="7")) == (Deferred, error, throttled, 7 * SECOND)
    assert brief(read(status, {"error": error}, retry_after=IN_HALF_A_MINUTE)) == (
        Deferred,
        error,
        throttled,
        30 * SECOND,
    )
    assert brief(read(status, {"error": error})) == (Deferred, error, throttled, None)


@pytest.mark.parametrize("status", [408, 421, 425, 429])
@pytest.mark.parametrize("body", [b"", b"<html>", {"error": "Too Many Requests"}, {"error": {"code": 429}}])
def test_statuses_that_mean_surely_not_processed(status: int, body: object) -> None:
    """The refresh token is as good as before: back off, no doubt."""
    throttled = status == 429
    assert brief(read(status, body)) == (Deferred, f"http_{status}", throttled, None)
    assert brief(read(status, body, retry_after="9")) == (Deferred, f"http_{status}", throttled, 9 * SECOND)
    dated = read(status, body, retry_after=IN_HALF_A_MINUTE)
    assert brief(dated) == (Deferred, f"http_{status}", throttled, 30 * SECOND)


@pytest.mark.parametrize("body", [b"", b"upstream down", {"error": "Service Unavailable"}])
def test_503_is_a_deferral_only_with_a_usable_retry_after(body: object) -> None:
    """A front that says when to return has not passed the request on; one that just fails may have."""
    assert brief(read(503, body, retry_after="120")) == (Deferred, "http_503", True, 2 * MINUTE)
    assert brief(read(503, body)) == (Uncertain, "http_503", False)
    assert brief(read(503, body, retry_after="soon")) == (Uncertain, "http_503", False)


@pytest.mark.parametrize("status", [500, 502, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530, 599])
@pytest.mark.parametrize("body", [b"", b"<html>", {"error": "Internal Server Error"}, {"error": 1}])
def test_server_failures_may_have_been_processed(status: int, body: object) -> None:
    """The provider may have rotated before it failed: doubt, even when it was polite enough to set Retry-After."""
    assert brief(read(status, body)) == (Uncertain, f"http_{status}", False)
    assert brief(read(status, body, retry_after="9")) == (Uncertain, f"http_{status}", False)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 404, 405, 407, 410, 415])
@pytest.mark.parametrize("body", [b"", b"<html>", {"error": "Not Found", "path": "/oauth2/token"}, {"error": []}])
def test_a_wrong_address_blames_the_client_not_the_credential(status: int, body: object) -> None:
    """A moved endpoint must not ask ten thousand people to log in, whatever a web framework puts into `error` (R9)."""
    assert brief(read(status, body)) == (Misconfigured, f"http_{status}")


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", {"error": ""}, {"error": None}, {"error": {"a": 1}}])
def test_a_refusal_without_a_json_error_is_believed_slowest(status: int, body: object) -> None:
    """400 with an empty body may be a used token, a garbage token or a wrong secret (§1)."""
    assert brief(read(status, body)) == (Rejected, f"http_{status}", SLOWEST)


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 409, 422, 451])
def test_an_unknown_error_is_believed_slowest(status: int) -> None:
    """A word that nobody knows condemns nobody today, and never becomes a metric label."""
    assert brief(read(status, {"error": "computer_says_no"})) == (Rejected, "unknown_error", SLOWEST)


@pytest.mark.parametrize("status", [402, 406, 409, 412, 418, 422, 451, 499])
def test_other_4xx_are_believed_slowest(status: int) -> None:
    """Anything unknown takes five refusals in a day."""
    assert brief(read(status)) == (Rejected, "http_4xx", SLOWEST)


@pytest.mark.parametrize("status", [-1, 0, 100, 101, 199, 600, 999])
def test_a_status_that_does_not_exist_is_no_usable_answer(status: int) -> None:
    """Sent, and nothing understood: doubt."""
    assert brief(read(status)) == (Uncertain, "http_unknown", False)


def test_a_providers_own_name_for_a_dead_refresh_token() -> None:
    """Provider behaviour is data: GitHub's `bad_refresh_token` comes with 200."""
    outcome = read(200, {"error": "bad_refresh_token"}, codes=frozenset({"bad_refresh_token"}))
    assert brief(outcome) == (Rejected, "bad_refresh_token", FAST)


@pytest.mark.parametrize("field", ["error_description", "error_hint", "hint"])
@pytest.mark.parametrize(
    "text",
    [
        "Failed to refresh token because of multiple concurrent requests using the same token which is not allowed.",
        "Concurrent access",
        "Please retry the request.",
        "simultaneous use",
    ],
)
@pytest.mark.parametrize("codes", [frozenset[str](), frozenset({"invalid_request"})])
def test_a_concurrency_hint_means_that_somebody_else_uses_our_token(
    field: str, text: str, codes: frozenset[str]
) -> None:
    """Hydra's 400 for two uses at once is no refusal of the token, even where `invalid_request` is one."""
    outcome = read(400, {"error": "invalid_request", field: text}, codes=codes)
    assert brief(outcome) == (Uncertain, "concurrent_use", True)
    assert brief(read(400, {"error": "invalid_grant", field: text})) == (Rejected, "invalid_grant", FAST)


def test_the_providers_words_reach_the_detail_and_nothing_else() -> None:
    """Text goes to `detail`, which the adapter scrubs; codes stay a closed list."""
    outcome = read(400, {"error": "weird", "error_description": "a", "error_hint": "b", "hint": 3})
    assert outcome == Rejected(code="unknown_error", confirmation=SLOWEST, detail="weird: a b")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "invalid_request"),
        (400, "invalid_grant"),
        (400, "invalid_scope"),
        (401, "invalid_client"),
        (400, "slow_down"),
        (400, "server_error"),
        (400, "computer_says_no"),
        (404, "Not Found"),
        (500, "Internal Server Error"),
        (429, "Too Many Requests"),
    ],
)
def test_whatever_is_made_of_an_error_its_words_go_along(status: int, error: str) -> None:
    """Who must act reads what the provider said, whichever class it fell into."""
    outcome = read(status, {"error": error, "error_description": "please retry later"})
    assert not isinstance(outcome, Refreshed)
    assert outcome.detail == f"{error}: please retry later"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", timedelta(0)),
        ("1", SECOND),
        (" 60 ", MINUTE),
        ("3600", HOUR),
        ("3601", HOUR),
        ("9" * 18, HOUR),
        ("9" * 5000, HOUR),
        ("Tue, 03 Nov 2026 12:00:30 GMT", 30 * SECOND),
        ("Tue, 03 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("Tue, 03 Nov 2026 14:00:30 +0200", 30 * SECOND),
        ("Tue, 03 Nov 2026 12:00:30 -0000", 30 * SECOND),
        ("Tuesday, 03-Nov-26 12:00:30 GMT", 30 * SECOND),
        ("Fri, 31 Dec 9999 23:59:59 -2359", HOUR),
        ("Mon, 01 Jan 0001 00:00:00 +2359", timedelta(0)),
        ("Tue, 03 Nov 2026 12:00:30 +99999999999999999999", None),
        ("Tue, 31 Feb 2026 12:00:30 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_capped_at_an_hour(value: str, expected: timedelta | None) -> None:
    """RFC 9110 §10.2.3; a date in the past means now, nonsense means nothing, and nobody sends us away for a year."""
    outcome = read(429, retry_after=value)
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after == expected


def test_an_ordinary_success() -> None:
    """Frame.io's answer: 3599 seconds, `bearer` in lower case."""
    expected = Refreshed(
        access=GrantedAccess(value=Secret("AT"), token_type="bearer", expires_in=3599 * SECOND),
        refresh_token=Secret("RT"),
        scope="offline",
    )
    assert [read(status, HYDRA) for status in (200, 201, 299)] == [expected] * 3


def test_a_success_without_a_refresh_token_keeps_the_old_one() -> None:
    """Some servers never rotate and omit the field (RFC 6749 §6)."""
    for body in ({**HYDRA, "refresh_token": None}, {key: HYDRA[key] for key in HYDRA if key != "refresh_token"}):
        outcome = success(body)
        assert (outcome.refresh_token, outcome.anomalies, outcome.access is None) == (None, (), False)


@pytest.mark.parametrize("odd", ["", 7, True, [], {}])
def test_an_unusable_refresh_token_is_nothing(odd: object) -> None:
    """A stored refresh token is never overwritten by nothing (R4)."""
    outcome = success({**HYDRA, "refresh_token": odd})
    assert (outcome.refresh_token, outcome.anomalies) == (None, ("refresh_token_unusable",))


@pytest.mark.parametrize("token", ["a b", "a\r\nb", "\ud800", "x" * 20_000, "\x00", "naïve"])
def test_a_refresh_token_is_kept_however_odd(token: str) -> None:
    """CR/LF, lone surrogates, absurd length: counted, but it may be the only one there is (R4)."""
    outcome = success({**HYDRA, "refresh_token": token})
    assert saved(outcome) == token
    assert outcome.anomalies == (() if token == "naïve" else ("refresh_token_odd",))


@pytest.mark.parametrize(
    ("changes", "anomaly"),
    [
        ({"access_token": None}, "access_token_missing"),
        ({"access_token": ""}, "access_token_missing"),
        ({"access_token": 5}, "access_token_missing"),
        ({"access_token": "a\r\nb"}, "access_token_unprintable"),
        ({"access_token": "a b"}, "access_token_unprintable"),
        ({"access_token": "\udfff"}, "access_token_unprintable"),
        ({"access_token": "x" * 20_000}, "access_token_unprintable"),
        ({"token_type": "mac"}, "token_type_unsupported"),
        ({"token_type": 1}, "token_type_unsupported"),
        ({"token_type": ""}, "token_type_unsupported"),
    ],
)
def test_without_a_usable_access_token_the_refresh_token_is_still_stored(
    changes: dict[str, object], anomaly: str
) -> None:
    """Persist first, judge later: nothing is published, the login is saved (R4)."""
    outcome = success({**HYDRA, **changes})
    assert (outcome.access, saved(outcome), outcome.anomalies) == (None, "RT", (anomaly,))
    assert outcome.code == "no_usable_access_token"
    assert brief(read(200, {**HYDRA, **changes, "refresh_token": None})) == (Uncertain, "no_usable_token", False)


@pytest.mark.parametrize(("token_type", "known"), [("bearer", True), ("BEARER", True), ("Bearer", True), (None, False)])
def test_bearer_in_any_case(token_type: str | None, known: object) -> None:
    """`token_type` compares case-insensitively (RFC 6749 §5.1); a missing one is taken for Bearer and counted."""
    outcome = success({**HYDRA, "token_type": token_type})
    assert outcome.access is not None
    assert (outcome.access.token_type, outcome.anomalies == ()) == (token_type or "Bearer", known)


@pytest.mark.parametrize(
    ("raw", "expected", "anomaly"),
    [
        (b"3600", HOUR, None),
        (b'"3600"', HOUR, None),
        (b"3599.9", 3599 * SECOND, None),
        (b"1e3", 1000 * SECOND, None),
        (b"0.5", SECOND, None),
        (b"2678400", 31 * DAY, None),
        (b"2678401", 31 * DAY, "expires_in_clamped"),
        (b"1e999", 31 * DAY, "expires_in_clamped"),
        (b"Infinity", 31 * DAY, "expires_in_clamped"),
        (b"9" * 19, 31 * DAY, "expires_in_clamped"),
        (b"9" * 60_000, 31 * DAY, "expires_in_clamped"),
        (b'"' + b"9" * 60_000 + b'"', 31 * DAY, "expires_in_clamped"),
        (b"0", MINUTE, "expires_in_clamped"),
        (b'"0"', MINUTE, "expires_in_clamped"),
        (b"-1", MINUTE, "expires_in_clamped"),
        (b"-" + b"9" * 60_000, MINUTE, "expires_in_clamped"),
        (b"-Infinity", MINUTE, "expires_in_clamped"),
        (b"NaN", None, "expires_in_unusable"),
        (b"true", None, "expires_in_unusable"),
        (b"false", None, "expires_in_unusable"),
        (b'"1e5"', None, "expires_in_unusable"),
        (b'"-5"', None, "expires_in_unusable"),
        (b'"\\u0663"', None, "expires_in_unusable"),
        (b'""', None, "expires_in_unusable"),
        (b"[]", None, "expires_in_unusable"),
        (b"{}", None, "expires_in_unusable"),
        (b"null", None, "expires_in_missing"),
    ],
)
def test_expires_in_of_every_kind(raw: bytes, expected: timedelta | None, anomaly: str | None) -> None:
    """Digits in a string are fine; the absurd is clamped and counted; None means the provider's default (§3)."""
    assert lifetime(raw) == (expected, (anomaly,) if anomaly else ())


@pytest.mark.parametrize(
    ("scope", "expected", "anomalies"),
    [
        ("offline account", "offline account", ()),
        (None, None, ()),
        ("", None, ()),
        (" ", None, ("scope_unusable",)),
        ("a\x00b", None, ("scope_unusable",)),
        ("a\ud800", None, ("scope_unusable",)),
        ("s" * 20_000, None, ("scope_unusable",)),
        (["offline"], None, ("scope_unusable",)),
    ],
)
def test_only_a_scope_that_a_store_can_hold_is_taken(
    scope: object, expected: str | None, anomalies: tuple[str, ...]
) -> None:
    """A NUL in a text column would make the commit of a fresh refresh token fail for ever on PostgreSQL (R6)."""
    outcome = success({**HYDRA, "scope": scope})
    assert (outcome.scope, outcome.anomalies, saved(outcome)) == (expected, anomalies, "RT")


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (b'{"refresh_token":"A","refresh_token":"B"}', "B"),
        (b'{"refresh_token":"A","refresh_token":null}', "A"),
        (b'{"refresh_token":"A","refresh_token":""}', "A"),
        (b'{"refresh_token":"A","access_token":"T","refresh_token":7}', "A"),
        (b'{"refresh_token":null,"refresh_token":"B"}', "B"),
    ],
)
def test_a_refresh_token_that_comes_twice_is_not_lost(body: bytes, token: str) -> None:
    """The last one counts, but an empty one after it does not wipe it out."""
    outcome = success(body)
    assert (saved(outcome), "duplicate_keys" in outcome.anomalies) == (token, True)


@pytest.mark.parametrize("error", ["invalid_grant", "server_error", "whatever"])
def test_a_refresh_token_beside_an_error_in_a_success_is_stored(error: str) -> None:
    """Any 2xx with a refresh token is stored even if the rest contradicts it (R4); elsewhere the error counts."""
    outcome = success({**HYDRA, "error": error})
    assert (saved(outcome), outcome.anomalies) == ("RT", ("error_in_success",))
    assert saved(read(400, {**HYDRA, "error": error})) is None
    assert not isinstance(read(200, {**HYDRA, "error": error, "refresh_token": None}), Refreshed)


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (b'{"refresh_token":"RT", "access_token": }', "RT"),
        (b'<br>Notice: "x in y {"refresh_token":"RT"}', "RT"),
        (b'[{"refresh_token":"RT"}]', "RT"),
        (b'{"data":{"refresh_token":"RT"}}', "RT"),
        (b'{"refresh_token" \n : \t "RT"} trailing', "RT"),
        (b'{"refresh_token":"a\\/\\u0062\\"c","x":', 'a/b"c'),
        (b'{"refresh_token":"a\r\nb","x":', "a\r\nb"),
        (b'{"refresh_token":"a\xffb","x":', "a\udcffb"),
        (b'{"refresh_token":"RT","x":"\xff', "RT"),
        (b'{"refresh_token":"' + b"x" * 20_000 + b'",', "x" * 20_000),
        (b'{"refresh_token":"A","refresh_token":"B","x":', "B"),
        (b'{"refresh_token":"A","refresh_token":"', "A"),
        (b'{"refresh_token":"A","refresh_token":""', "A"),
        (b'{"refresh_token":"A","refresh_token":"bad\\escape"', "A"),
        (b'{"refresh_token":"RT","x":' + b"[" * 60_000, "RT"),
        (b'{"x":' + b'{"x":' * 13_000 + b'"refresh_token":"RT"', "RT"),
        (b" " * 2 * MAX_BODY + b'{"refresh_token":"RT"', "RT"),
        (b'{"refresh_token":"bad\\escape","x":', None),
        (b'{"refresh_token":"","x":', None),
        (b'{"message":"no \\"refresh_token\\": \\"RT\\" here"}', None),
    ],
)
def test_an_unreadable_success_is_searched_by_eye(body: bytes, token: str | None) -> None:
    """The provider believes that it succeeded: whatever refresh token can be made out is stored."""
    assert saved(read(200, body)) == token
    assert saved(read(500, body)) is None


def test_a_success_that_is_not_utf_8_is_still_read() -> None:
    """A Latin-1 byte in a neighbouring field costs neither token; one inside the token does not cost the login."""
    latin = success(b'{"refresh_token":"RT","access_token":"AT","token_type":"bearer","note":"caf\xe9"}')
    assert (saved(latin), latin.access is not None, "invalid_utf8" in latin.anomalies) == ("RT", True, True)
    within = success(b'{"refresh_token":"caf\xe9","access_token":"AT","token_type":"bearer"}')
    assert (saved(within), "refresh_token_odd" in within.anomalies) == ("caf\udce9", True)


def test_raw_control_characters_do_not_hide_an_access_token() -> None:
    """A line break inside some text is no JSON, but no reason to ask again either."""
    outcome = success(b'{"refresh_token":"RT","access_token":"AT","token_type":"bearer","note":"a\r\nb"}')
    assert (saved(outcome), outcome.access is not None) == ("RT", True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_does_not_hide_tokens(encoding: str) -> None:
    """Some frameworks send one."""
    assert saved(success(json.dumps(HYDRA).encode(encoding))) == "RT"


def test_how_a_broken_success_is_named() -> None:
    """Truncated, unreadable and oversized answers are told apart in the log and in metrics."""
    codes = [read(200, body, complete=complete).code for body, complete in ((b"{", True), (b"{", False))]
    codes.append(read(200, b"{" * (MAX_BODY + 1), complete=False).code)
    assert codes == ["unreadable_success", "truncated_success", "oversized_success"]
    cut = success(b'{"refresh_token":"RT",', complete=False)
    assert (cut.code, cut.anomalies) == ("truncated_success", ("truncated_success",))
    twice = success(b'{"x":{"a":1,"a":1},"y":{"a":1,"a":1},"refresh_token":"RT",')
    assert twice.anomalies == ("duplicate_keys", "unreadable_success")


def test_the_limits_are_the_last_that_is_allowed() -> None:
    """64 KiB is a body and 16 KiB a token; one byte more is not."""
    codes = [read(200, b"{" * size).code for size in (65_536, 65_537)]
    assert codes == ["unreadable_success", "oversized_success"]
    odd = [success({**HYDRA, "refresh_token": "x" * size}).anomalies for size in (16_384, 16_385)]
    assert odd == [(), ("refresh_token_odd",)]


def test_a_whole_object_counts_even_if_the_connection_broke_after_it() -> None:
    """JSON says itself where it ends: no doubt, and no second request, for a peer that closes rudely."""
    assert success(HYDRA, complete=False) == success(HYDRA)


def test_a_refusal_that_was_cut_short_is_judged_by_its_status() -> None:
    """Half an error is no error name."""
    assert brief(read(400, b'{"error":"invalid_grant","error_des', complete=False)) == (Rejected, "http_400", SLOWEST)


tokens = st.text(st.sampled_from('aZ9-_~é€😀"\\/\r\n\t\0\u2028\ud83d\ude00{}:,'), min_size=1, max_size=8)


@given(token=tokens, ascii_only=st.booleans(), before=st.booleans())
@settings(max_examples=40)
def test_truncation_at_every_byte_keeps_a_refresh_token_once_it_is_closed(
    token: str, *, ascii_only: bool, before: bool
) -> None:
    """However an answer is cut, the new refresh token survives from its closing quote on."""
    first, last = {"access_token": "AT", "scope": "ü"}, {"token_type": "bearer", "x": [{"y": "z"}]}
    fields = {"refresh_token": token, **first, **last} if before else {**first, **last, "refresh_token": token}
    whole = json.dumps(fields, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    value = json.dumps(token, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    closed = whole.index(value, whole.index(b'"refresh_token":')) + len(value)
    for cut in range(len(whole) + 1):
        outcome = read(200, whole[:cut], complete=cut == len(whole))
        if cut < closed:
            assert not isinstance(outcome, Refreshed)
        elif b"\xed" in value:  # a lone surrogate as raw bytes is not UTF-8; something is kept, which is all one can do
            assert saved(outcome) is not None
        else:
            assert saved(outcome) == json.loads(json.dumps(token))  # JSON joins the halves of a pair


names = st.sampled_from(
    ["access_token", "refresh_token", "token_type", "expires_in", "scope", "error", "error_description", "error_hint"]
)
errors = st.sampled_from(
    ["invalid_grant", "invalid_request", "invalid_client", "slow_down", "server_error", "bearer", "concurrent", "new"]
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), errors, st.text('\ud800\udfff\r\n\0 a9"\\é', max_size=6)
)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(names, scalars, max_size=2)
objects = st.lists(st.tuples(names, values), max_size=7)
statuses = st.one_of(st.integers(-10, 1000), st.sampled_from([200, 302, 400, 401, 404, 429, 500, 503]))
dates = st.sampled_from(
    ["Tue, 03 Nov 2026 12:00:30 GMT", "31 Dec 9999 23:59:59 -2359", "1 Jan 1 0:0:0 +2359", "Sun Nov  6 08:49:37 1994"]
)
waits = st.one_of(
    st.none(),
    st.text(max_size=40),
    st.integers().map(str),
    st.builds(lambda date, at, junk: date[:at] + junk + date[at:], dates, st.integers(0, 31), st.text(max_size=4)),
)


def encode(pairs: list[tuple[str, object]]) -> bytes:
    """JSON with duplicate keys, non-finite numbers and lone surrogates as they come."""
    body = ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs)
    return f"{{{body}}}".encode()


def check(outcome: Outcome) -> None:
    """What holds for every outcome whatsoever."""
    match outcome:
        case Refreshed():
            assert outcome.access is not None or outcome.refresh_token is not None
            assert set(outcome.anomalies) <= set(ANOMALIES)
            assert len(set(outcome.anomalies)) == len(outcome.anomalies)
            assert outcome.refresh_token is None or outcome.refresh_token.reveal() != ""
            if outcome.access is not None and outcome.access.expires_in is not None:
                assert SECOND <= outcome.access.expires_in <= 31 * DAY
            if outcome.scope is not None:
                outcome.scope.encode()
                assert "\0" not in outcome.scope
        case Deferred():
            assert outcome.retry_after is None or timedelta(0) <= outcome.retry_after <= HOUR
        case _:
            pass
    assert len(outcome.code) <= 32
    assert outcome.code.isascii()


@given(status=statuses, pairs=objects, retry_after=waits, cut=st.none() | st.integers(0, 200), complete=st.booleans())
@example(status=503, pairs=[], retry_after="1 Jan 2026 " + "9" * 5000, cut=None, complete=True)
@settings(max_examples=200)
def test_no_answer_makes_it_raise(
    status: int, pairs: list[tuple[str, object]], retry_after: str | None, cut: int | None, *, complete: bool
) -> None:
    """Any status, any header, any JSON, cut anywhere: one of five outcomes, within its bounds."""
    check(read(status, encode(pairs)[:cut], retry_after=retry_after, complete=complete))


@given(status=statuses, body=st.binary(max_size=60), prefix=st.sampled_from([b"", b'{"refresh_token":"', b"\xff\xfe"]))
@settings(max_examples=120)
def test_no_bytes_make_it_raise(status: int, body: bytes, prefix: bytes) -> None:
    """Bytes that are no JSON, no UTF-8, no text at all."""
    check(read(status, prefix + body))


@given(status=st.integers(200, 299), left=objects, token=tokens, right=objects)
@settings(max_examples=120)
def test_a_refresh_token_in_any_readable_success_is_stored(
    status: int, left: list[tuple[str, object]], token: str, right: list[tuple[str, object]]
) -> None:
    """The last non-empty string `refresh_token` of the object wins, whatever stands beside it (R4)."""
    pairs = [*left, ("refresh_token", token), *right]
    found = [value for key, value in pairs if key == "refresh_token" and isinstance(value, str) and value]
    assert saved(read(status, encode(pairs))) == json.loads(json.dumps(found[-1]))


HOSTILE = [
    b"[" * 65_536,
    b'{"a":' * 13_000,
    b'{"error":' * 7_000 + b"1" + b"}" * 7_000,
    b'{"refresh_token":' + b"[" * 65_000,
    b'"refresh_token":"' * 3_900,
    b'"refresh_token"' * 4_300,
    b'"refresh_token":"\\' * 3_600,
    b'"refresh_token":"' + b"\\" * 65_001,
    b'"refresh_token":"' + b"a\\a" * 21_000,
    b'"refresh_token"' + b" " * 65_000,
    b'"refresh_token" ' * 4_000 + b":" * 9,
    b'{"expires_in":' + b"9" * 65_000 + b',"access_token":"A"}',
    b'{"expires_in":"' + b"9" * 65_000 + b'","access_token":"A"}',
    b'{"expires_in":1' + b"0" * 60_000 + b"." + b"9" * 4_000 + b',"access_token":"A"}',
    b'{"error":"invalid_request","error_description":"' + b"concurre" * 8_000 + b'"}',
    b'{"error":"invalid_request","error_description":"' + b"retr re" * 8_000 + b'"}',
    b'{"access_token":"' + b"\\ud800" * 10_000 + b'"}',
    b"\xff" * 65_536,
    b"\x00" * 65_536,
    b"\xef\xbb\xbf" * 20_000,
]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bodies_cost_no_time_and_no_crash(body: bytes) -> None:
    """64 KiB made to blow the stack or to send a regular expression backtracking block no event loop."""
    for status, copies in itertools.product((200, 400), (1, 3)):
        check(read(status, body * copies))
