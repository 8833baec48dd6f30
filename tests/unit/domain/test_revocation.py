"""What an answer of a revocation endpoint means (RFC 7009 §2.2), and when to ask again."""

import json
from datetime import timedelta
from email.utils import format_datetime

import pytest

from refreshd.domain.revocation import (
    GIVE_UP_AFTER,
    AskAgain,
    GiveUp,
    NotRevocable,
    NotRevokedYet,
    Revoked,
    next_step,
    read_revocation_answer,
)
from refreshd.domain.token_response import MAX_RETRY_AFTER, Answer
from tests.fakes import START

SECOND = timedelta(seconds=1)


def read(status: int, body: str = "", **headers: str) -> object:
    answer = Answer(status=status, headers=headers, body=body.encode())
    return read_revocation_answer(answer, now=START, rejection_codes=frozenset({"gone"}))


def error(name: str) -> str:
    return json.dumps({"error": name, "error_description": "said so"})


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, ""), (200, "{}"), (200, "<html>ok</html>"), (204, ""), (400, error("invalid_grant")), (401, error("gone"))],
)
def test_a_dead_token_is_a_revoked_one(status: int, body: str) -> None:
    """200 whatever the body, also for unknown tokens; and providers that name the token dead instead."""
    assert Revoked() == read(status, body)


@pytest.mark.parametrize(
    ("status", "body", "code", "detail"),
    [
        (503, "", "http_503", ""),
        (429, "", "http_429", ""),
        (429, error("odd"), "http_429", "odd: said so"),
        (500, "", "http_500", ""),
        (502, "<html>", "http_502", ""),
        (401, error("invalid_client"), "invalid_client", "invalid_client: said so"),
        (400, error("unauthorized_client"), "unauthorized_client", "unauthorized_client: said so"),
        (400, error("temporarily_unavailable"), "temporarily_unavailable", "temporarily_unavailable: said so"),
    ],
)
def test_what_may_pass_is_asked_again(status: int, body: str, code: str, detail: str) -> None:
    """Outages, and a client secret that somebody mends: the log says which, in the provider's words."""
    assert NotRevokedYet(code=code, detail=detail) == read(status, body)


@pytest.mark.parametrize("status", [200, 204, 300, 500])
def test_an_error_is_no_success_whatever_its_status(status: int) -> None:
    """Who calls a login dead that lives on ends nothing, and nobody looks after it."""
    expected = NotRevokedYet(code="server_error", detail="server_error: said so")
    assert expected == read(status, error("server_error"))


@pytest.mark.parametrize(
    ("status", "body", "code", "detail"),
    [
        (400, error("unsupported_token_type"), "unsupported_token_type", "unsupported_token_type: said so"),
        (400, error("invalid_request"), "invalid_request", "invalid_request: said so"),
        (200, error("unsupported_token_type"), "unsupported_token_type", "unsupported_token_type: said so"),
        (404, "", "http_404", ""),
        (405, "", "http_405", ""),
        (302, "", "http_302", ""),
        (403, "", "http_403", ""),
        (403, error("odd"), "unknown_error", "odd: said so"),
    ],
)
def test_a_plain_no_is_final(status: int, body: str, code: str, detail: str) -> None:
    """Nothing that we could send later would be another question. What only this endpoint says keeps its name."""
    assert NotRevocable(code=code, detail=detail) == read(status, body)


@pytest.mark.parametrize("written", ["120", format_datetime(START + 120 * SECOND, usegmt=True)])
def test_what_a_provider_wants_to_be_waited_for_is_read(written: str) -> None:
    """Seconds, or a date (RFC 9110 §10.2.3)."""
    expected = NotRevokedYet(code="http_503", retry_after=120 * SECOND)
    assert expected == read(503, **{"retry-after": written})


@pytest.mark.parametrize(
    ("asked", "waited"), [(SECOND, 5 * SECOND), (120 * SECOND, 120 * SECOND), (timedelta(days=3), MAX_RETRY_AFTER)]
)
def test_retry_after_is_respected_up_to_an_hour(asked: timedelta, waited: timedelta) -> None:
    """It never shortens our own wait: a provider in trouble may say anything."""
    outcome = NotRevokedYet(code="busy", retry_after=asked, detail="said so")
    step = next_step(outcome, asked_at=START, failures=0, now=START, draw=1.0)
    assert AskAgain(code="busy", at=START + waited, detail="said so") == step


@pytest.mark.parametrize("asked_ago", [timedelta(0), 9 * GIVE_UP_AFTER])
def test_a_clear_answer_ends_it_at_once(asked_ago: timedelta) -> None:
    """Done is done, and who never will is not asked for a day: the operator is told what the provider said."""
    never = NotRevocable(code="http_404", detail="said so")
    ends = [
        next_step(outcome, asked_at=START - asked_ago, failures=0, now=START, draw=0.0)
        for outcome in (Revoked(), never)
    ]
    assert [Revoked(), GiveUp(code="http_404", detail="said so")] == ends


def test_waits_grow_with_failures() -> None:
    """An outage of hours is not met with a request a second."""
    waits = []
    for failures in (0, 3, 9):
        step = next_step(NotRevokedYet(code="busy"), asked_at=START, failures=failures, now=START, draw=1.0)
        assert isinstance(step, AskAgain)
        waits.append(step.at - START)
    assert waits == sorted(set(waits))


def test_after_a_day_it_is_given_up() -> None:
    """A provider that is gone must not be asked for ever."""
    outcome = NotRevokedYet(code="unreachable", detail="said so")
    last = next_step(outcome, asked_at=START, failures=9, now=START + GIVE_UP_AFTER - SECOND, draw=0.5)
    assert isinstance(last, AskAgain)
    assert GiveUp(code="unreachable", detail="said so") == next_step(
        outcome, asked_at=START, failures=9, now=START + GIVE_UP_AFTER, draw=0.5
    )
