"""Ledgers for tests: two clients, tokens that count up, and the words of a reply."""

from itertools import count
from typing import Any

import orjson

from refreshd.demo.ledger import Ledger, Reply, Rules

ALICE, BOB = "alice", "bob"
SECRET = "p:a%s+&=/?-ü"
CLIENTS = {ALICE: SECRET, BOB: ""}


def ledger_of(*, keep: int | None = None, **rules: Any) -> Ledger:
    numbers = count()
    return Ledger(CLIENTS, Rules(**rules), new_token=lambda: f"token-{next(numbers)}", keep=keep)


def login(ledger: Ledger, *, at: float = 0.0, client: str = ALICE) -> str:
    """The refresh token of a new login."""
    return str(ledger.log_in(client, at=at)["refresh_token"])


def refresh(ledger: Ledger, token: str, *, at: float, client: str = ALICE) -> dict[str, Any]:
    """The answer of a refresh that must succeed."""
    reply = ledger.present(client, token, at=at)
    assert 200 == reply.status, reply.body
    return fields(reply)


def fields(reply: Reply) -> dict[str, Any]:
    parsed: dict[str, Any] = orjson.loads(reply.body)
    return parsed


def refusal(reply: Reply) -> tuple[int, str]:
    return reply.status, str(fields(reply).get("error"))
