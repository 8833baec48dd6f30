"""What an answer of a revocation endpoint means (RFC 7009 §2.2), and when to ask again."""

import json
from datetime import timedelta

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
    return json.dumps({"error": name})


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, ""), (200, "{}"), (200, "<html>ok</html>"), (204, ""), (400, error("invalid_grant")), (401, error("gone"))],
)
def test_a_dead_token_is_a_revoked_one(status: int, body: str) -> None:
    """200 whatever the body, also for unknown tokens; and providers that name the token dead instead."""
    assert Revoked() == read(status, body)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (503, "", None),
        (429, "", None),
        (500, "", None),
        (502, "<html>", None),
        (401, error("invalid_client"), "invalid_client"),
        (400, error("temporarily_unavailable"), "temporarily_unavailable"),
    ],
)
def test_what_may_pass_is_asked_again(status: int, body: str, code: str | None) -> None:
    """Outages, and a client secret that somebody mends."""
    found = read(status, body)
    assert isinstance(found, NotRevokedYet)
    assert code in (None, found.code)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error("unsupported_token_type")),
        (400, error("invalid_request")),
        (200, error("unsupported_token_type")),
        (404, ""),
        (405, ""),
        (302, ""),
        (403, ""),
    ],
)
def test_a_plain_no_is_final(status: int, body: str) -> None:
    """Nothing that we could send later would be another question."""
    assert isinstance(read(status, body), NotRevocable)


def test_retry_after_is_respected_up_to_an_hour() -> None:
    outcome = read(503, **{"retry-after": "120"})
    step = next_step(outcome, asked_at=START, failures=0, now=START, draw=0.0)  # type: ignore[arg-type]  # `read` is loose
    assert isinstance(step, AskAgain)
    assert START + timedelta(seconds=120) == step.at
    endless = NotRevokedYet(code="busy", retry_after=timedelta(days=3))
    step = next_step(endless, asked_at=START, failures=0, now=START, draw=0.0)
    assert isinstance(step, AskAgain)
    assert START + MAX_RETRY_AFTER == step.at


def test_waits_grow_with_failures() -> None:
    waits = []
    for failures in (0, 3, 9):
        step = next_step(NotRevokedYet(code="busy"), asked_at=START, failures=failures, now=START, draw=1.0)
        assert isinstance(step, AskAgain)
        waits.append(step.at - START)
    assert waits == sorted(set(waits))


def test_after_a_day_it_is_given_up() -> None:
    """A provider that is gone must not be asked for ever."""
    outcome = NotRevokedYet(code="unreachable")
    last = next_step(outcome, asked_at=START, failures=9, now=START + GIVE_UP_AFTER - SECOND, draw=0.5)
    assert isinstance(last, AskAgain)
    assert GiveUp(code="unreachable") == next_step(
        outcome, asked_at=START, failures=9, now=START + GIVE_UP_AFTER, draw=0.5
    )
