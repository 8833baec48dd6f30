"""What a live check tells a person, for each thing that a provider can answer to requests that spend nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from refreshd.domain.client import AuthMethod, Client, GrantType
from refreshd.domain.credential import ClientName
from refreshd.domain.live_check import (
    Evidence,
    Finding,
    Reaction,
    Verdict,
    judge,
    judge_discovery,
    needs_control,
    needs_id,
    tells_apart,
)
from refreshd.domain.outcome import Confirmation, Deferred, Misconfigured, Outcome, Phase, Rejected, Uncertain
from refreshd.domain.secret import Secret
from tests.fakes import success

CONFIDENTIAL = Client(
    name=ClientName("acme"),
    token_endpoint="https://login.example/token",
    auth_method=AuthMethod.BASIC,
    client_id="id",
    client_secret=Secret("secret"),
    request_timeout=timedelta(seconds=10),
)
PUBLIC = replace(CONFIDENTIAL, client_secret=None, auth_method=AuthMethod.NONE)
MACHINE = replace(CONFIDENTIAL, grant=GrantType.CLIENT_CREDENTIALS)
INVALID_GRANT = Rejected(code="invalid_grant", confirmation=Confirmation.FAST)
INVALID_CLIENT = Misconfigured(code="invalid_client", detail="invalid_client: no")
NOTHING = Rejected(code="http_400", confirmation=Confirmation.SLOWEST)


def found(client: Client, outcome: Outcome, **more: Any) -> Finding:
    return judge(client, Evidence(outcome=outcome, **more))


@pytest.mark.parametrize("client", [CONFIDENTIAL, PUBLIC])
def test_a_client_is_proven_by_what_a_wrong_one_gets_instead(client: Client) -> None:
    """The made-up token is refused, and with a made-up secret, or id, the client is."""
    finding = found(client, INVALID_GRANT, control=INVALID_CLIENT)
    assert (Verdict.OK, None, False) == (finding.verdict, finding.mend, finding.is_fault)


@pytest.mark.parametrize(
    "answer", [INVALID_GRANT, NOTHING, Rejected(code="invalid_request", confirmation=Confirmation.SLOW)]
)
def test_a_provider_that_answers_everything_alike_proves_nothing(answer: Outcome) -> None:
    """A green light that would also be green with a wrong secret is worse than none. It is no fault either."""
    finding = found(CONFIDENTIAL, answer, control=answer)
    assert (Verdict.UNKNOWN, False) == (finding.verdict, finding.is_fault)


@pytest.mark.parametrize("control", [None, Deferred(code="http_429"), Uncertain(code="deadline")])
def test_without_the_comparison_nothing_is_claimed(control: Outcome | None) -> None:
    """The second request was lost: the first alone may be what everybody gets."""
    assert Verdict.UNKNOWN is found(CONFIDENTIAL, INVALID_GRANT, control=control).verdict


@pytest.mark.parametrize(
    ("client", "known", "said", "mend"),
    [
        (CONFIDENTIAL, True, "refuses the secret", "clients.acme.client_secret"),
        (CONFIDENTIAL, False, "does not know the client id", "clients.acme.client_id"),
        (CONFIDENTIAL, None, "the client id or its secret", "clients.acme.client_id, clients.acme.client_secret"),
        (PUBLIC, True, "wants a secret of it", "clients.acme.client_secret"),
        (PUBLIC, False, "does not know the client id", "clients.acme.client_id"),
        (PUBLIC, None, "refuses the client id", "clients.acme.client_id"),
        (MACHINE, True, "refuses the secret", "clients.acme.client_secret"),
    ],
)
def test_a_refused_client_is_told_what_is_wrong_of_it(
    client: Client, *, known: bool | None, said: str, mend: str
) -> None:
    """`invalid_client` stands for a wrong id and a wrong secret alike; the authorization endpoint knows ids."""
    finding = found(client, INVALID_CLIENT, id_known=known)
    assert (Verdict.WRONG, mend) == (finding.verdict, finding.mend)
    assert said in finding.text


@pytest.mark.parametrize(
    ("outcome", "verdict", "said", "mend"),
    [
        (Misconfigured(code="http_404"), Verdict.WRONG, "no token endpoint at this address: it answers 404", "token_endpoint"),
        (Misconfigured(code="http_302"), Verdict.WRONG, "redirects elsewhere (302)", "token_endpoint"),
        (Misconfigured(code="invalid_url"), Verdict.WRONG, "cannot be used", "token_endpoint"),
        (Misconfigured(code="certificate", detail="self-signed"), Verdict.WRONG, "cannot be trusted: self-signed", "ca_file"),
        (Misconfigured(code="unauthorized_client"), Verdict.WRONG, "does not allow the grant refresh_token", "grant"),
        (Misconfigured(code="proxy_refused", detail="407"), Verdict.WRONG, "the proxy refuses", "proxy"),
        (Uncertain(code="unreadable_success"), Verdict.WRONG, "this is no token endpoint", "token_endpoint"),
        (Uncertain(code="http_500"), Verdict.UNREACHABLE, "fails at the moment", None),
        (Uncertain(code="deadline", phase=Phase.SENT), Verdict.UNREACHABLE, "did not answer within 10 s", None),
        (Uncertain(code="server_disconnected"), Verdict.UNREACHABLE, "broke the connection off", None),
        (Deferred(code="client_connector_dns", detail="no such name"), Verdict.UNREACHABLE, "no such name", None),
        (Deferred(code="connect_deadline"), Verdict.UNREACHABLE, "no connection", None),
        (Deferred(code="http_429", throttled=True), Verdict.UNREACHABLE, "asked later", None),
        (Deferred(code="proxy_unavailable", detail="502"), Verdict.UNREACHABLE, "the proxy cannot reach", "proxy"),
        (success(), Verdict.WRONG, "that we made up", "token_endpoint"),
    ],
)  # fmt: skip
def test_everything_else_says_where_to_mend_it(outcome: Outcome, verdict: Verdict, said: str, mend: str | None) -> None:
    """Wrong address, certificate, proxy, outage: each in words, each a fault."""
    finding = found(CONFIDENTIAL, outcome)
    assert (verdict, mend and f"clients.acme.{mend}") == (finding.verdict, finding.mend)
    assert said in finding.text
    assert finding.is_fault


def test_an_address_that_was_discovered_is_mended_at_the_issuer() -> None:
    """The key token_endpoint is not in that person's file."""
    assert "clients.acme.issuer" == found(CONFIDENTIAL, Misconfigured(code="http_404"), discovered=True).mend


def test_a_machine_is_proven_by_the_token_that_it_gets() -> None:
    """Nothing is spent by asking."""
    assert Verdict.OK is found(MACHINE, success()).verdict


@pytest.mark.parametrize(
    ("code", "mend"), [("invalid_scope", "scope"), ("invalid_request", "grant"), ("http_403", "grant")]
)
def test_a_machine_that_gets_none_is_told_what_the_provider_says(code: str, mend: str) -> None:
    """Mostly the scope, or the grant that is not allowed."""
    finding = found(MACHINE, Rejected(code=code, confirmation=Confirmation.SLOW, detail=f"{code}: said so"))
    assert (Verdict.WRONG, f"clients.acme.{mend}") == (finding.verdict, finding.mend)
    assert "said so" in finding.text


@pytest.mark.parametrize(
    ("outcome", "verdict", "mend"),
    [
        (Misconfigured(code="metadata_refused", detail="it lies"), Verdict.WRONG, "clients.acme.issuer"),
        (Misconfigured(code="certificate"), Verdict.WRONG, "clients.acme.ca_file"),
        (Deferred(code="client_connector"), Verdict.UNREACHABLE, "clients.acme.issuer"),
    ],
)
def test_metadata_that_cannot_be_had_is_told_apart_from_wrong_ones(
    outcome: Deferred | Misconfigured, verdict: Verdict, mend: str
) -> None:
    """Both keep the client from being used."""
    finding = judge_discovery(CONFIDENTIAL, "https://login.example", outcome)
    assert (verdict, mend, "acme") == (finding.verdict, finding.mend, finding.client)


def test_only_refusals_are_compared_and_only_refused_clients_looked_up() -> None:
    """Each further request is one that a provider may count against us."""
    assert (True, False) == (needs_control(INVALID_GRANT), needs_control(INVALID_CLIENT))
    assert (False, True) == (needs_id(INVALID_GRANT), needs_id(INVALID_CLIENT))
    assert not needs_id(Misconfigured(code="http_404"))


@pytest.mark.parametrize(
    ("ours", "first", "second", "known"),
    [
        (("400", "no such redirect"), ("400", "no such client"), ("400", "no such client"), True),
        (("400", "no such client"), ("400", "no such client"), ("400", "no such client"), False),
        (("302 /login", ""), ("400", "a1"), ("400", "b2"), True),
        (("400", "c3"), ("400", "a1"), ("400", "b2"), None),
        (("400", "c3"), ("400", "a1"), ("429", "b2"), None),
    ],
)
def test_an_id_is_known_if_it_is_treated_unlike_made_up_ones(
    ours: tuple[str, str], first: tuple[str, str], second: tuple[str, str], *, known: bool | None
) -> None:
    """Two made-up ones show how much of an answer is chance: a page with a new number each time says nothing."""
    reactions = [Reaction(place=place, text=text) for place, text in (ours, first, second)]
    assert known is tells_apart(*reactions)
