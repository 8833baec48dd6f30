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
WITHOUT_TOKEN = ("unreadable_success", "truncated_success", "oversized_success", "no_usable_token")
METADATA = "the metadata of https://login.example"


def found(client: Client, outcome: Outcome, **more: Any) -> Finding:
    return judge(client, Evidence(outcome=outcome, **more))


def says(verdict: Verdict, text: str, mend: str | None = None) -> Finding:
    """`mend` without what all of them begin with."""
    return Finding(client="acme", verdict=verdict, text=text, mend=mend and f"clients.acme.{mend}")


def ok(text: str) -> Finding:
    return says(Verdict.OK, text)


def wrong(text: str, mend: str) -> Finding:
    return says(Verdict.WRONG, text, mend)


def away(text: str, mend: str | None = None) -> Finding:
    return says(Verdict.UNREACHABLE, text, mend)


def unknown(text: str) -> Finding:
    return says(Verdict.UNKNOWN, text)


@pytest.mark.parametrize(
    ("verdict", "is_fault"),
    [(Verdict.OK, False), (Verdict.WRONG, True), (Verdict.UNREACHABLE, True), (Verdict.UNKNOWN, False)],
)
def test_a_fault_is_what_keeps_the_client_from_being_used(verdict: Verdict, *, is_fault: bool) -> None:
    """A deployment that stops at faults must not stop because a provider answers everything alike."""
    assert is_fault == says(verdict, "").is_fault


@pytest.mark.parametrize("control", [INVALID_CLIENT, Rejected(code="http_401", confirmation=Confirmation.SLOWEST)])
@pytest.mark.parametrize(("client", "proven"), [(CONFIDENTIAL, "id and secret are"), (PUBLIC, "client id is")])
def test_a_client_is_proven_by_what_a_wrong_one_gets_instead(client: Client, proven: str, control: Outcome) -> None:
    """The made-up token is refused, and with a made-up secret, or id, the client is; or refused in other words."""
    expected = ok(f"{proven} right: only the made-up token is refused")
    assert expected == found(client, INVALID_GRANT, control=control)


@pytest.mark.parametrize(
    "answer", [INVALID_GRANT, NOTHING, Rejected(code="invalid_request", confirmation=Confirmation.SLOW)]
)
@pytest.mark.parametrize(("client", "made_up"), [(CONFIDENTIAL, "secret"), (PUBLIC, "id")])
def test_a_provider_that_answers_everything_alike_proves_nothing(
    client: Client, made_up: str, answer: Rejected
) -> None:
    """A green light that would also be green with a wrong secret is worse than none. It is no fault either."""
    text = f"the provider answers a made-up {made_up} just as it answers this client ({answer.code})"
    assert unknown(text) == found(client, answer, control=answer)


@pytest.mark.parametrize("control", [None, Deferred(code="http_429"), Uncertain(code="deadline")])
@pytest.mark.parametrize(("client", "made_up"), [(CONFIDENTIAL, "secret"), (PUBLIC, "id")])
def test_without_the_comparison_nothing_is_claimed(client: Client, made_up: str, control: Outcome | None) -> None:
    """The second request was lost: the first alone may be what everybody gets."""
    text = f"the provider refuses a made-up refresh token (invalid_grant), and did not answer a made-up {made_up}"
    assert unknown(text) == found(client, INVALID_GRANT, control=control)


ID_UNKNOWN = wrong("the provider does not know the client id: it treats it as it treats made-up ones", "client_id")
SECRET_REFUSED = wrong(
    "the provider knows the client id, but refuses the secret, or the way in which it is sent (client_auth)",
    "client_secret",
)


@pytest.mark.parametrize(
    ("client", "known", "expected"),
    [
        (CONFIDENTIAL, True, SECRET_REFUSED),
        (CONFIDENTIAL, False, ID_UNKNOWN),
        (
            CONFIDENTIAL,
            None,
            wrong(
                "the provider refuses the client id or its secret and does not say more: invalid_client: no",
                "client_id, clients.acme.client_secret",
            ),
        ),
        (PUBLIC, True, wrong("the provider knows the client id, but wants a secret of it", "client_secret")),
        (PUBLIC, False, ID_UNKNOWN),
        (
            PUBLIC,
            None,
            wrong("the provider refuses the client id and does not say more: invalid_client: no", "client_id"),
        ),
        (MACHINE, True, SECRET_REFUSED),
    ],
)
def test_a_refused_client_is_told_what_is_wrong_of_it(client: Client, *, known: bool | None, expected: Finding) -> None:
    """`invalid_client` stands for a wrong id and a wrong secret alike; the authorization endpoint knows ids."""
    assert expected == found(client, INVALID_CLIENT, id_known=known)


REDIRECTED = "the token endpoint redirects elsewhere (302), which is never followed: it is another address"
NO_ENDPOINT = "there is no token endpoint at this address: it answers 404"
NOT_OAUTH = "this is no token endpoint: it answers with success and without a token"
NOT_ALLOWED = "the provider does not allow the grant refresh_token here; allow it there, or change the key: "
UNTRUSTED = "the provider's certificate cannot be trusted: "
LATER = "the provider wants to be asked later"
TOO_LATE = "no connection to the provider came about in time: is it reachable from here?"
CUT_OFF = "the provider broke the connection off without an answer (server_disconnected)"
TRUSTING = "the provider gave tokens for a refresh token that we made up: this is not a token endpoint to be trusted"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Misconfigured(code="http_404"), wrong(NO_ENDPOINT, "token_endpoint")),
        (Misconfigured(code="http_302"), wrong(REDIRECTED, "token_endpoint")),
        (Misconfigured(code="invalid_url"), wrong("the address of the token endpoint cannot be used", "token_endpoint")),
        (Misconfigured(code="certificate", detail="self-signed"), wrong(f"{UNTRUSTED}self-signed", "ca_file")),
        (Misconfigured(code="certificate"), wrong(f"{UNTRUSTED}it is not valid", "ca_file")),
        (Misconfigured(code="unauthorized_client"), wrong(f"{NOT_ALLOWED}unauthorized_client", "grant")),
        (Misconfigured(code="unsupported_grant_type", detail="no"), wrong(f"{NOT_ALLOWED}no", "grant")),
        (Misconfigured(code="proxy_refused", detail="407"), wrong("the proxy refuses to connect: 407", "proxy")),
        *((Uncertain(code=code), wrong(NOT_OAUTH, "token_endpoint")) for code in WITHOUT_TOKEN),
        (Uncertain(code="http_500"), away("the provider fails at the moment (http_500); try again")),
        (Uncertain(code="server_error"), away("the provider fails at the moment (server_error); try again")),
        (Uncertain(code="deadline", phase=Phase.SENT), away("the provider did not answer within 10 s")),
        (Uncertain(code="server_disconnected"), away(CUT_OFF)),
        (Deferred(code="client_connector_dns", detail="no such name"), away("the provider cannot be reached: no such name")),
        (Deferred(code="client_connector_dns"), away("the provider cannot be reached: client_connector_dns")),
        (Deferred(code="connect_deadline"), away(TOO_LATE)),
        (Deferred(code="http_408"), away(f"{LATER} (http_408)")),
        (Deferred(code="slow_down", throttled=True), away(f"{LATER} (slow_down)")),
        (Deferred(code="temporarily_unavailable", detail="x"), away(f"{LATER} (temporarily_unavailable)")),
        (Deferred(code="proxy_unavailable", detail="502"), away("the proxy cannot reach the provider: 502", "proxy")),
        (success(), wrong(TRUSTING, "token_endpoint")),
    ],
)  # fmt: skip
def test_everything_else_says_where_to_mend_it(outcome: Outcome, expected: Finding) -> None:
    """Wrong address, certificate, proxy, outage: each in words."""
    assert expected == found(CONFIDENTIAL, outcome)


def test_an_address_that_was_discovered_is_mended_at_the_issuer() -> None:
    """The key token_endpoint is not in that person's file."""
    assert wrong(NO_ENDPOINT, "issuer") == found(CONFIDENTIAL, Misconfigured(code="http_404"), discovered=True)


def test_a_machine_is_proven_by_the_token_that_it_gets() -> None:
    """Nothing is spent by asking."""
    assert ok("id and secret are right: the provider gave a token") == found(MACHINE, success())


@pytest.mark.parametrize(
    ("code", "mend"),
    [("invalid_scope", "scope"), ("scope_not_granted", "scope"), ("invalid_request", "grant"), ("http_403", "grant")],
)
@pytest.mark.parametrize("detail", ["said so", ""])
def test_a_machine_that_gets_none_is_told_what_the_provider_says(code: str, mend: str, detail: str) -> None:
    """Mostly the scope, or the grant that is not allowed; the bare code where the provider says no more."""
    text = f"the provider gives this client no token by client_credentials: {detail or code}"
    refusal = Rejected(code=code, confirmation=Confirmation.SLOW, detail=detail)
    assert wrong(text, mend) == found(MACHINE, refusal)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Misconfigured(code="metadata_refused", detail="it lies"), wrong(f"{METADATA} cannot be used: it lies", "issuer")),
        (Misconfigured(code="invalid_url"), wrong(f"{METADATA} cannot be used: invalid_url", "issuer")),
        (Misconfigured(code="certificate"), wrong(f"{UNTRUSTED}it is not valid", "ca_file")),
        (Deferred(code="client_connector"), away(f"{METADATA} cannot be had: client_connector", "issuer")),
        (Deferred(code="deadline", detail="no answer"), away(f"{METADATA} cannot be had: no answer", "issuer")),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_had_is_told_apart_from_wrong_ones(
    outcome: Deferred | Misconfigured, expected: Finding
) -> None:
    """Both keep the client from being used."""
    assert expected == judge_discovery(CONFIDENTIAL, "https://login.example", outcome)


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
