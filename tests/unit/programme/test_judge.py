"""The judge of the fuzzing programme: it permits what protocol.md says and nothing else, and it notices what is broken."""

from dataclasses import replace
from datetime import timedelta

import pytest

from refreshd.domain.outcome import (
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
from refreshd.domain.settle import settle
from tests.contract.stores import POLICY
from tests.programme.fuzzing import judge as j
from tests.programme.fuzzing.bodies import Planted
from tests.programme.fuzzing.promises import of_outcome, of_secrets, of_transition
from tests.programme.fuzzing.states import NOW, SENT_AT, STATES

GOOD = b'{"access_token":"AT","token_type":"bearer","expires_in":60,"refresh_token":"RT"}'
MINUTE = timedelta(minutes=1)


def read(status: int, body: bytes = b"", wait: str | None = None) -> j.Reading:
    return j.judge(status, {} if wait is None else {"retry-after": wait}, body, now=NOW)


def refreshed(refresh_token: str | None = "RT", access: str | None = "AT", lifetime: timedelta = MINUTE) -> Refreshed:
    token = GrantedAccess(value=Secret(access), token_type="bearer", expires_in=lifetime) if access else None
    return Refreshed(access=token, refresh_token=Secret(refresh_token) if refresh_token is not None else None)


@pytest.mark.parametrize(
    ("status", "body", "wait", "permitted"),
    [
        (200, GOOD, None, {j.REFRESHED}),
        (200, b"", None, {j.UNCERTAIN}),
        (200, b'{"error":"invalid_grant"}', None, {j.FAST}),
        (400, b'{"error":"invalid_grant"}', None, {j.FAST}),
        (400, b'{"error":"bad_refresh_token"}', None, {j.FAST}),
        (500, b'{"error":"invalid_scope"}', None, {j.SLOW}),
        (400, b'{"error":"invalid_request"}', None, {j.SLOW}),
        (400, b'{"error":"invalid_request","error_hint":"Please retry the request"}', None, {j.SHARED}),
        (401, b'{"error":"invalid_client"}', None, {j.MISCONFIGURED}),
        (400, b'{"error":"server_error"}', None, {j.UNCERTAIN}),
        (400, b'{"error":"whatever"}', None, {j.SLOWEST}),
        (500, b'{"error":"whatever"}', None, {j.UNCERTAIN}),
        (404, b'{"error":"Not Found"}', None, {j.MISCONFIGURED}),
        (400, b'{"error":', None, {j.SLOWEST}),
        (302, b"", None, {j.MISCONFIGURED}),
        (429, b"", None, {j.DEFERRED}),
        (502, b"", "5", {j.UNCERTAIN}),
        (503, b"", None, {j.UNCERTAIN}),
        (503, b"", "5", {j.DEFERRED}),
        (503, b"", "Mon, 01 Jun 2026 12:00:30 GMT", {j.DEFERRED}),
        (503, b"", "soon", {j.DEFERRED, j.UNCERTAIN}),
    ],
)
def test_the_table_of_protocol_3(status: int, body: bytes, wait: str | None, permitted: set[str]) -> None:
    """Error name first, status second; room is left only where the protocol leaves it."""
    assert permitted == read(status, body, wait).permitted


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (GOOD, {"RT"}),
        (b'{"refresh_token":"A","refresh_token":"B"}', {"B"}),
        (b'{"refresh_token":"A","refresh_token":""}', {"A"}),
        (b'{"refresh_token":"A","error":"invalid_grant"}', {"A"}),
        (b'{"refresh_token" : "a\\"b\\u0063', set()),
        (b'{"refresh_token" : "a\\"b\\u0063",', {'a"bc'}),
        (b'<p>{"refresh_token":"A"', {"A"}),
        (b'{"note":"\\"refresh_token\\":\\"A\\""', set()),
        (b"\xff\xfe" + GOOD.decode().encode("utf-16-le"), {"RT"}),
    ],
)
def test_which_refresh_token_must_be_kept(body: bytes, tokens: set[str]) -> None:
    """The last one of an object; else whatever stands between its quotes in full."""
    assert tokens == read(200, body).keep
    assert frozenset() == read(400, body).keep


@pytest.mark.parametrize(
    "outcome",
    [
        Uncertain(code="unreadable_success"),
        Rejected(code="invalid_grant", confirmation=Confirmation.FAST),
        Misconfigured(code="http_404"),
        refreshed(None),
        refreshed(""),
        refreshed("another"),
        refreshed(access=None),
        refreshed(access="another"),
        refreshed(lifetime=timedelta(seconds=61)),
        refreshed(lifetime=timedelta(days=32)),
        replace(refreshed(), code="provider's text"),
    ],
)
def test_every_wrong_meaning_of_a_good_answer_is_noticed(outcome: Outcome) -> None:
    """A judge that lets one of these pass shows nothing."""
    assert [] == of_outcome(read(200, GOOD), refreshed())
    assert [] != of_outcome(read(200, GOOD), outcome)


def test_a_wrong_wait_is_noticed() -> None:
    """Retry-After is obeyed to the second, up to an hour."""
    reading = read(429, wait="30")
    assert [] == of_outcome(reading, Deferred(code="http_429", retry_after=MINUTE / 2))
    assert [] != of_outcome(reading, Deferred(code="http_429", retry_after=MINUTE))
    assert [] != of_outcome(read(429), Deferred(code="http_429", retry_after=timedelta(hours=2)))


def test_a_transition_that_loses_or_condemns_is_noticed() -> None:
    """Each of these would cost somebody a login."""
    fresh, outcome, reading = STATES["fresh"], refreshed(), read(200, GOOD)
    made = settle(fresh, outcome, POLICY, sent_at=SENT_AT, now=NOW, draw=0.5)
    condemned = settle(
        STATES["confirming fast"],
        Rejected(code="invalid_grant", confirmation=Confirmation.FAST),
        POLICY,
        sent_at=SENT_AT,
        now=NOW,
        draw=0.5,
    )
    assert [] == of_transition("fresh", fresh, reading, outcome, made)
    for wrong in (
        replace(made, refresh_token=None),
        replace(made, refresh_token=Secret("")),
        replace(made, withdraw_access=True),
        replace(made, after=replace(made.after, in_doubt=True)),
        replace(made, after=replace(made.after, generation=fresh.generation)),
        replace(made, after=replace(made.after, next_attempt_at=None)),
        replace(made, after=condemned.after),
    ):
        assert [] != of_transition("fresh", fresh, reading, outcome, wrong)


@pytest.mark.parametrize("shown", ["the+secret/1", "the%2Bsecret%2F1", "the%2bsecret%2f1"])
def test_a_secret_is_noticed_however_it_is_spelled(shown: str) -> None:
    """A form's spelling can be read by anybody."""
    outcome = Uncertain(code="x", detail=f"no {shown} here")
    assert [] != of_secrets(Planted("the+secret/1", "unused-secret"), (), outcome)
    assert [] == of_secrets(Planted("another-secret", "unused-secret"), (), outcome)
