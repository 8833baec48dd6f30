"""Hydra's words over the years, each as the protocol's facts have it."""

import pytest

from refreshd.demo.dialects import GRANTS, Dialect, Verdict, refuse, refuse_concurrent
from refreshd.demo.ledger import Ledger
from tests.unit.demo.houses import ALICE, BOB, fields, ledger_of, login, refresh, refusal

FAR = 31 * 86400.0
USED = {
    Dialect.HYDRA_1_0: (400, "invalid_request", True),
    Dialect.HYDRA_1_4: (400, "invalid_grant", True),
    Dialect.HYDRA_1_10: (401, "token_inactive", False),
    Dialect.HYDRA_2_3: (400, "invalid_grant", False),
}
EXPIRED = {
    Dialect.HYDRA_1_0: (400, "invalid_request"),
    Dialect.HYDRA_1_4: (400, "invalid_request"),
    Dialect.HYDRA_1_10: (400, "invalid_request"),
    Dialect.HYDRA_2_3: (400, "invalid_grant"),
}


def used(ledger: Ledger) -> tuple[str, str]:
    """A token that was used, and its successor."""
    token = login(ledger)
    return token, refresh(ledger, token, at=1)["refresh_token"]


def test_the_default_is_the_current_one() -> None:
    """A test that says nothing tests what providers run today."""
    assert ledger_of().rules.dialect is Dialect.HYDRA_2_3


@pytest.mark.parametrize(("dialect", "expected"), USED.items())
def test_a_used_token(dialect: Dialect, expected: tuple[int, str, bool]) -> None:
    """Status and word, and whether the successor works on."""
    ledger = ledger_of(dialect=dialect)
    token, successor = used(ledger)
    status, error = refusal(ledger.present(ALICE, token, at=2))
    alive = ledger.present(ALICE, successor, at=3).status == 200
    assert expected == (status, error, alive)


@pytest.mark.parametrize(("dialect", "expected"), EXPIRED.items())
def test_an_expired_token(dialect: Dialect, expected: tuple[int, str]) -> None:
    """`invalid_request` until 2022."""
    ledger = ledger_of(dialect=dialect)
    assert expected == refusal(ledger.present(ALICE, login(ledger), at=FAR))


@pytest.mark.parametrize("dialect", Dialect)
def test_absent_and_foreign_tokens_are_worded_alike(dialect: Dialect) -> None:
    """Nobody learns whether a token exists."""
    ledger = ledger_of(dialect=dialect)
    expected = (400, "invalid_request" if dialect is Dialect.HYDRA_1_0 else "invalid_grant")
    assert expected == refusal(ledger.present(ALICE, "garbage", at=1))
    assert expected == refusal(ledger.present(BOB, login(ledger), at=1))


@pytest.mark.parametrize("dialect", Dialect)
def test_the_hint_has_a_field_of_its_own_until_2_0(dialect: Dialect) -> None:
    """Older bodies carry `error_hint` and `status_code`; later ones put the hint into the description."""
    body = fields(refuse(dialect, Verdict.UNKNOWN))
    hint = "The refresh token has not been found."
    if dialect is Dialect.HYDRA_2_3:
        assert {"error", "error_description"} == body.keys()
        assert body["error_description"].endswith(hint)
    else:
        assert (hint, 400) == (body["error_hint"], body["status_code"])
        assert hint not in body["error_description"]


def test_the_current_dialect_says_that_the_token_was_used() -> None:
    """The hint that tells reuse from any other bad grant."""
    assert "already used" in fields(refuse(Dialect.HYDRA_2_3, Verdict.REUSED))["error_description"]


@pytest.mark.parametrize("dialect", Dialect)
def test_concurrent_use_is_hinted_at(dialect: Dialect) -> None:
    """`invalid_request` that is no refusal of the token."""
    reply = refuse_concurrent(dialect)
    assert (400, "invalid_request") == refusal(reply)
    assert b"concurrent" in reply.body


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("verdict", Verdict)
def test_every_refusal_has_words_and_no_grant_has(dialect: Dialect, verdict: Verdict) -> None:
    """A new verdict cannot be forgotten here."""
    if verdict in GRANTS:
        with pytest.raises(ValueError, match="no refusal"):
            refuse(dialect, verdict)
    else:
        assert refuse(dialect, verdict).status in (400, 401)
