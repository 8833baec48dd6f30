"""Who reaches the grant check (RFC 6749 §2.3, §6): a refused request spends nothing."""

import base64
from urllib.parse import quote_plus

import pytest

from refreshd.demo.ledger import Ledger, Reply
from tests.unit.demo.houses import ALICE, BOB, SECRET, fields, ledger_of, login, refusal


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def form(token: str, **more: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token, **more}


def untouched(ledger: Ledger, token: str) -> bool:
    family = ledger.family_of(token)
    return family is not None and family.alive and not family.verdicts


PROOFS = {
    "basic": (ALICE, basic(ALICE, SECRET), {}),
    "basic, id in the form too": (ALICE, basic(ALICE, SECRET), {"client_id": ALICE}),
    "post": (ALICE, None, {"client_id": ALICE, "client_secret": SECRET}),
    "public": (BOB, None, {"client_id": BOB}),
}
FRAUDS = {
    "wrong secret": (ALICE, basic(ALICE, "wrong"), {}),
    "wrong secret in the form": (ALICE, None, {"client_id": ALICE, "client_secret": "wrong"}),
    "no secret": (ALICE, None, {"client_id": ALICE}),
    "empty secret": (ALICE, basic(ALICE, ""), {}),
    "nobody": (ALICE, None, {}),
    "unknown client": (ALICE, None, {"client_id": "carol"}),
    "two ids": (ALICE, basic(ALICE, SECRET), {"client_id": BOB}),
    "two methods": (ALICE, basic(ALICE, SECRET), {"client_secret": SECRET}),
    "a public client with a header": (BOB, basic(BOB, ""), {}),
    "a public client with a secret": (BOB, None, {"client_id": BOB, "client_secret": "x"}),
    "unreadable header": (ALICE, "Basic !!", {}),
    "another scheme": (ALICE, basic(ALICE, SECRET).replace("Basic", "Bearer"), {}),
    "not UTF-8": (ALICE, "Basic " + base64.b64encode(b"\xff:\xff").decode(), {}),
    "a lone surrogate": (ALICE, None, {"client_id": ALICE, "client_secret": "\ud800"}),
}


@pytest.mark.parametrize(("client", "authorization", "more"), PROOFS.values(), ids=PROOFS)
def test_each_way_of_proof_is_accepted(client: str, authorization: str | None, more: dict[str, str]) -> None:
    """Both halves of Basic are form-encoded first, so a colon or a percent sign arrives whole."""
    ledger = ledger_of()
    reply = ledger.exchange(form(login(ledger, client=client), **more), authorization, at=1)
    assert 200 == reply.status
    assert ("application/json", "no-store") == _headers(reply)


@pytest.mark.parametrize(("client", "authorization", "more"), FRAUDS.values(), ids=FRAUDS)
def test_a_refused_client_never_reaches_the_grant_check(
    client: str, authorization: str | None, more: dict[str, str]
) -> None:
    """A mistyped secret must not cost a login."""
    ledger = ledger_of()
    token = login(ledger, client=client)
    reply = ledger.exchange(form(token, **more), authorization, at=1)
    assert (401, "invalid_client") == refusal(reply)
    assert "www-authenticate" in reply.headers
    assert untouched(ledger, token)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"refresh_token": ""}, "invalid_request"),
        ({"scope": "offline write"}, "invalid_scope"),
    ],
)
def test_a_malformed_request_spends_nothing(change: dict[str, str], error: str) -> None:
    """RFC 6749 §5.2 and §6: wrong grant type, no token, a wider scope than granted."""
    ledger = ledger_of()
    token = login(ledger)
    assert (400, error) == refusal(ledger.exchange({**form(token), **change}, basic(ALICE, SECRET), at=1))
    assert untouched(ledger, token)


@pytest.mark.parametrize(("asked", "granted"), [("", "offline read"), ("offline", "offline")])
def test_a_narrower_scope_is_granted_as_asked(asked: str, granted: str) -> None:
    """RFC 6749 §6; nothing asked means what was granted."""
    ledger = ledger_of()
    reply = ledger.exchange(form(login(ledger), scope=asked), basic(ALICE, SECRET), at=1)
    assert granted == fields(reply)["scope"]


def test_a_secret_may_change() -> None:
    """As an operator rotates it at the provider: the old one is refused at once."""
    ledger = ledger_of()
    ledger.set_secret(ALICE, "new")
    token = login(ledger)
    assert (401, "invalid_client") == refusal(ledger.exchange(form(token), basic(ALICE, SECRET), at=1))
    assert 200 == ledger.exchange(form(token), basic(ALICE, "new"), at=1).status


def _headers(reply: Reply) -> tuple[str, str]:
    return reply.headers["content-type"].partition(";")[0], reply.headers["cache-control"]
