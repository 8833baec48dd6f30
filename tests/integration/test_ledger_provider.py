"""The ledger provider over a real wire, asked by our own client: each dialect and each fault is what the protocol says."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.token_endpoint import HttpTokenEndpoint
from refreshd.adapters.system_clock import SystemClock
from refreshd.demo import storms
from refreshd.demo.faults import (
    DelayRequest,
    DripAnswer,
    DuplicateRequest,
    Ending,
    Fault,
    Latency,
    LoseAnswer,
    LoseRequest,
    OtherAnswer,
    TruncateAnswer,
)
from refreshd.demo.grants import Family, Grace, Rules
from refreshd.demo.ledger import Dialect, Verdict
from refreshd.demo.provider import LedgerProvider, ProviderThread, new_ledger
from refreshd.domain.client import AuthMethod, Client
from refreshd.domain.credential import ClientName
from refreshd.domain.outcome import Confirmation, Deferred, Outcome, Refreshed, Rejected, Uncertain, label
from refreshd.domain.secret import Secret

ACME, PUBLIC = "acme", "public"
SECRET = "p:a%s+&=/?-ü"
DEADLINE = timedelta(seconds=0.5)
SOON = 5.0
"""Seconds that a busy machine may take for what happens at once."""


def client_of(provider: LedgerProvider | ProviderThread, name: str = ACME, secret: str = SECRET) -> Client:
    confidential = name == ACME
    return Client(
        name=ClientName(name),
        token_endpoint=provider.token_endpoint,
        auth_method=AuthMethod.BASIC if confidential else AuthMethod.NONE,
        client_id=name,
        client_secret=Secret(secret) if confidential else None,
        request_timeout=timedelta(seconds=5),
    )


@asynccontextmanager
async def serving(**rules: Any) -> AsyncIterator[LedgerProvider]:
    async with LedgerProvider(new_ledger({ACME: SECRET, PUBLIC: ""}, Rules(**rules))) as provider:
        yield provider


async def ask(client: Client, token: str, *, deadline: timedelta | None = None) -> Outcome:
    """One refresh by the client that ships."""
    asked = client if deadline is None else _hurried(client, deadline)
    async with Connections([asked], limit=4, user_agent="refreshd/0") as connections:
        endpoint = HttpTokenEndpoint(connections, clock=SystemClock())
        return await endpoint.refresh(asked, Secret(token), "offline read", may_send=lambda: True)


def login(provider: LedgerProvider, client: str = ACME) -> str:
    return str(provider.log_in(client)["refresh_token"])


def kind(outcome: Outcome) -> tuple[str, str]:
    return label(outcome), outcome.code


def kept(outcome: Outcome) -> str:
    """The refresh token that came out of it, "" for none."""
    return outcome.refresh_token.reveal() if isinstance(outcome, Refreshed) and outcome.refresh_token else ""


def family(provider: LedgerProvider, token: str) -> Family:
    found = provider.ledger.family_of(token)
    assert found is not None
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.01)


class TestADialect:
    """What our client makes of each of Hydra's ways to refuse (protocol: classes of answers)."""

    @pytest.mark.parametrize(
        ("dialect", "code", "confirmation"),
        [
            (Dialect.HYDRA_1_0, "invalid_request", Confirmation.SLOW),
            (Dialect.HYDRA_1_4, "invalid_grant", Confirmation.FAST),
            (Dialect.HYDRA_1_10, "token_inactive", Confirmation.FAST),
            (Dialect.HYDRA_2_3, "invalid_grant", Confirmation.FAST),
        ],
    )
    async def test_a_used_token_is_rejected(self, dialect: Dialect, code: str, confirmation: Confirmation) -> None:
        """Never taken for a fault of the client or of the network."""
        async with serving(dialect=dialect) as provider:
            token = login(provider)
            assert ("refreshed", "ok") == kind(await ask(client_of(provider), token))
            outcome = await ask(client_of(provider), token)
        assert isinstance(outcome, Rejected)
        assert (code, confirmation) == (outcome.code, outcome.confirmation)

    @pytest.mark.parametrize(
        ("dialect", "code"),
        [
            (Dialect.HYDRA_1_0, "invalid_request"),
            (Dialect.HYDRA_1_4, "invalid_request"),
            (Dialect.HYDRA_1_10, "invalid_request"),
            (Dialect.HYDRA_2_3, "invalid_grant"),
        ],
    )
    async def test_an_expired_token_is_rejected(self, dialect: Dialect, code: str) -> None:
        """Worded as a malformed request until 2022."""
        async with serving(dialect=dialect, refresh_lifetime=0.0) as provider:
            assert ("rejected", code) == kind(await ask(client_of(provider), login(provider)))

    @pytest.mark.parametrize("dialect", Dialect)
    async def test_concurrent_use_is_uncertain_and_said_aloud(self, dialect: Dialect) -> None:
        """Somebody else uses our token: no refusal of the credential."""
        async with serving(dialect=dialect) as provider:
            provider.storm(storms.concurrent_use(dialect), count=1)
            outcome = await ask(client_of(provider), login(provider))
        assert isinstance(outcome, Uncertain)
        assert outcome.shared

    @pytest.mark.parametrize("dialect", Dialect)
    async def test_a_wrong_secret_is_the_clients_fault_and_spends_nothing(self, dialect: Dialect) -> None:
        """R9: the credential works on once the secret is right."""
        async with serving(dialect=dialect) as provider:
            token = login(provider)
            refused = await ask(client_of(provider, secret="wrong"), token)
            assert ("misconfigured", "invalid_client") == kind(refused)
            assert ("refreshed", "ok") == kind(await ask(client_of(provider), token))


class TestGrace:
    """A repeated request within the grace recovers a lost answer, over the wire too."""

    @pytest.mark.parametrize("grace", [Grace.SAME, Grace.NEW])
    async def test_a_lost_answer_is_recovered(self, grace: Grace) -> None:
        """The chain goes on from whatever the second answer brought."""
        async with serving(grace=grace, grace_seconds=60.0) as provider:
            token = login(provider)
            provider.faults.script(LoseAnswer())
            assert isinstance(await ask(client_of(provider), token), Uncertain)
            successor = kept(await ask(client_of(provider), token))
            assert ("refreshed", "ok") == kind(await ask(client_of(provider), successor))
            assert (2 if grace is Grace.SAME else 3) == len(family(provider, token).tokens) - 1

    async def test_a_public_client_names_itself_in_the_form(self) -> None:
        """PKCE: no secret, no Authorization header."""
        async with serving() as provider:
            token = login(provider, PUBLIC)
            assert ("refreshed", "ok") == kind(await ask(client_of(provider, PUBLIC), token))

    async def test_a_provider_that_does_not_rotate_leaves_our_token_as_it_is(self) -> None:
        """R4: nothing is overwritten by nothing."""
        async with serving(rotates=False) as provider:
            token = login(provider)
            outcome = await ask(client_of(provider), token)
            assert isinstance(outcome, Refreshed)
            assert (None, "offline read") == (outcome.refresh_token, outcome.scope)
            assert ("refreshed", "ok") == kind(await ask(client_of(provider), token))


COMMITTED = [
    (LoseAnswer(), ("uncertain", "client_os")),
    (LoseAnswer(ending=Ending.RESET, after=0.1), ("uncertain", "client_os")),
    (LoseAnswer(ending=Ending.CLOSE), ("uncertain", "server_disconnected")),
    (LoseAnswer(ending=Ending.HANG), ("uncertain", "deadline")),
    (TruncateAnswer(at=0), ("uncertain", "")),
    (TruncateAnswer(at=20), ("uncertain", "")),
    (storms.gateway(502, commits=True), ("uncertain", "http_502")),
    (Latency(low=1.0, high=1.0), ("uncertain", "deadline")),
    (DripAnswer(pause=1.0), ("uncertain", "")),
]
UNTOUCHED = [
    (LoseRequest(), ("uncertain", "client_os")),
    (LoseRequest(ending=Ending.CLOSE), ("uncertain", "server_disconnected")),
    (LoseRequest(ending=Ending.CLOSE, after=0.1), ("uncertain", "server_disconnected")),
    (LoseRequest(ending=Ending.HANG), ("uncertain", "deadline")),
    (Latency(low=0.1, high=0.1, then=LoseRequest()), ("uncertain", "client_os")),
    (storms.throttled(7), ("deferred", "http_429")),
    (storms.throttled(None), ("deferred", "http_429")),
    (storms.unavailable(7), ("deferred", "http_503")),
    (storms.unavailable(), ("uncertain", "http_503")),
    (storms.gateway(500), ("uncertain", "http_500")),
    (storms.gateway(502), ("uncertain", "http_502")),
    (storms.gateway(504), ("uncertain", "http_504")),
    (storms.client_refused(), ("misconfigured", "invalid_client")),
    (storms.everyone_refused(), ("rejected", "invalid_grant")),
    (storms.page(), ("uncertain", "unreadable_success")),
    (storms.redirect(), ("misconfigured", "http_302")),
    (OtherAnswer(status=400), ("rejected", "http_400")),
]
"""Fault, and label and code of the outcome; code "" where the wire does not decide which of our names it gets."""


def named(case: object) -> str | None:
    return repr(case).replace("Ending.", "")[:60] if not isinstance(case, tuple) else ""


class TestAFault:
    """Each fault is classified as the protocol says, and has done to the ledger what it is documented to do."""

    @pytest.mark.parametrize(("fault", "expected"), COMMITTED, ids=named)
    async def test_an_answer_lost_after_the_commit_leaves_the_rotation_done(
        self, fault: Fault, expected: tuple[str, str]
    ) -> None:
        """Uncertain for us; at the provider the token is spent."""
        async with serving() as provider:
            token = login(provider)
            provider.faults.script(fault)
            _expect(expected, await ask(client_of(provider), token, deadline=DEADLINE))
            await until(lambda: family(provider, token).verdicts[Verdict.ROTATED] == 1)
            assert ("rejected", "invalid_grant") == kind(await ask(client_of(provider), token))

    @pytest.mark.parametrize(("fault", "expected"), UNTOUCHED, ids=named)
    async def test_a_request_lost_before_the_commit_leaves_the_token_as_it_was(
        self, fault: Fault, expected: tuple[str, str]
    ) -> None:
        """The ledger never heard of it, so the same token works next time."""
        async with serving() as provider:
            token = login(provider)
            provider.faults.script(fault)
            _expect(expected, await ask(client_of(provider), token, deadline=DEADLINE))
            assert not family(provider, token).verdicts
            assert ("refreshed", "ok") == kind(await ask(client_of(provider), token))

    async def test_a_delayed_request_looks_like_theft_to_a_hasty_retry(self) -> None:
        """R8: our own first request arrives second."""
        async with serving() as provider:
            token = login(provider)
            provider.faults.script(DelayRequest(after=0.3))
            assert "uncertain" == label(await ask(client_of(provider), token))
            assert ("refreshed", "ok") == kind(await ask(client_of(provider), token))
            await until(lambda: not family(provider, token).alive)
            assert Verdict.REUSED is family(provider, token).died_because

    async def test_a_duplicated_request_is_answered_and_then_counts_as_reuse(self) -> None:
        """A stuck proxy: the client did nothing wrong and loses its login all the same."""
        async with serving() as provider:
            token = login(provider)
            provider.faults.script(DuplicateRequest(after=0.2))
            assert ("refreshed", "ok") == kind(await ask(client_of(provider), token))
            assert family(provider, token).alive
            await until(lambda: not family(provider, token).alive)
            assert [token] == [one.value for one in provider.ledger.reuses()]

    async def test_a_slow_drip_within_the_deadline_succeeds(self) -> None:
        """Byte by byte is still an answer."""
        async with serving() as provider:
            provider.faults.script(DripAnswer(pause=0.001))
            assert ("refreshed", "ok") == kind(await ask(client_of(provider), login(provider)))

    async def test_latency_delays_the_answer(self) -> None:
        """Late, not lost."""
        async with serving() as provider:
            provider.faults.latency = Latency(low=0.2, high=0.3)
            began = time.monotonic()
            assert ("refreshed", "ok") == kind(await ask(client_of(provider), login(provider)))
            assert time.monotonic() - began >= 0.2

    async def test_a_truncated_answer_that_holds_the_refresh_token_saves_it(self) -> None:
        """R4: cut after the refresh token, before the end."""
        async with serving() as provider:
            token = login(provider)
            provider.faults.script(TruncateAnswer(at=150))
            outcome = await ask(client_of(provider), token)
            assert ("refreshed", "truncated_success") == kind(outcome)
            assert family(provider, token).tokens[-1].value == kept(outcome)

    async def test_retry_after_arrives(self) -> None:
        """The wait that a provider asks for."""
        async with serving() as provider:
            provider.storm(storms.throttled(7), seconds=60)
            outcome = await ask(client_of(provider), login(provider))
        assert isinstance(outcome, Deferred)
        assert (timedelta(seconds=7), True) == (outcome.retry_after, outcome.throttled)

    async def test_a_storm_over_one_client_spares_the_other(self) -> None:
        """Told apart by the client id, in the header or in the form."""
        async with serving() as provider:
            provider.storm(storms.gateway(500), client_id=PUBLIC)
            assert "refreshed" == label(await ask(client_of(provider), login(provider)))
            assert "uncertain" == label(await ask(client_of(provider, PUBLIC), login(provider, PUBLIC)))


class TestAServer:
    """What it is as a server: an API, a port that stays, a thread."""

    async def test_a_stopped_provider_comes_back_on_its_port_with_its_ledger(self) -> None:
        """An outage: refused connections are surely not processed."""
        async with serving() as provider:
            token = login(provider)
            client = client_of(provider)
            port = int(provider.url.rpartition(":")[2])
        assert "deferred" == label(await ask(client, token))
        async with LedgerProvider(provider.ledger, port=port):
            assert ("refreshed", "ok") == kind(await ask(client, token))

    async def test_a_stop_ends_what_hangs(self) -> None:
        """No test waits for a fault."""
        async with serving() as provider:
            provider.faults.script(LoseRequest(ending=Ending.HANG))
            hanging = asyncio.create_task(ask(client_of(provider), login(provider)))
            await until(lambda: provider.requests == 1)
            began = time.monotonic()
        assert "uncertain" == label(await hanging)
        assert time.monotonic() - began < 2

    def test_a_synchronous_programme_has_it_in_a_thread(self) -> None:
        """Every accessor from another thread; a long chain is copied whole."""
        with ProviderThread(new_ledger({PUBLIC: ""})) as provider:
            [answer, _] = provider.log_in(PUBLIC, count=2)
            first = token = str(answer["refresh_token"])
            access = str(answer["access_token"])
            for _ in range(300):
                answer = provider.ask(partial(_present, token=token))
                token = str(answer["refresh_token"])
            assert (False, True) == (provider.accepts(access), provider.accepts(str(answer["access_token"])))
            provider.set_rules(Rules(dialect=Dialect.HYDRA_1_10))
            provider.script(storms.page(204))
            assert 204 == _post(provider.token_endpoint, _form(first))[0]
            assert 401 == _post(provider.token_endpoint, _form(first))[0]
            assert [first] == [one.value for one in provider.reuses()]
            assert {301, 1} == {len(one.tokens) for one in provider.families().values()}
            assert (300, 1) == (provider.verdicts()[Verdict.ROTATED], provider.verdicts()[Verdict.REUSED])
            assert 2 == provider.requests()

    def test_a_taken_port_is_the_callers_error(self) -> None:
        """Said at once, not by a time-out."""
        with ProviderThread(new_ledger({})) as first:
            port = int(first.url.rpartition(":")[2])
            with pytest.raises(OSError, match="address already in use"), ProviderThread(new_ledger({}), port=port):
                pass

    async def test_userinfo_knows_living_access_tokens_only(self) -> None:
        """What a consumer of a token sees of its death."""
        async with serving() as provider:
            answer = provider.log_in(ACME)
            old, url = str(answer["access_token"]), provider.userinfo_endpoint
            assert 200 == await asyncio.to_thread(_get, url, old)
            await ask(client_of(provider), str(answer["refresh_token"]))
            assert 401 == await asyncio.to_thread(_get, url, old)
            assert 401 == await asyncio.to_thread(_get, url, "")

    def test_a_parameter_that_comes_twice_spends_nothing(self) -> None:
        """RFC 6749 §3.2."""
        with ProviderThread(new_ledger({PUBLIC: ""})) as provider:
            token = str(provider.log_in(PUBLIC)[0]["refresh_token"])
            assert 400 == _post(provider.token_endpoint, _form(token) + b"&scope=read&scope=read")[0]
            assert 0 == sum(provider.verdicts().values())

    def test_there_is_no_side_door_unless_asked_for(self) -> None:
        """Whoever reaches the port cannot mint logins."""
        with ProviderThread(new_ledger({PUBLIC: ""})) as provider:
            assert 404 == _post(f"{provider.control_url}/logins", b'{"client_id":"public"}')[0]


class TestProviderOnly:
    """`refreshd demo --provider-only`, as other people's CI uses it."""

    def test_it_says_where_it_is_serves_and_ends_on_sigterm(self) -> None:
        """One JSON object, a login, a refresh, a reuse, a fault, exit 0."""
        with _provider_only("--lifetime", "90s") as (process, said):
            public = said["clients"]["demo_pkce"]
            assert (90.0, "none") == (public["access_token_lifetime"], public["auth_method"])
            assert said["clients"]["demo_basic"]["client_secret"]
            control, endpoint = said["control"], said["token_endpoint"]
            [one, two] = _sent(f"{control}/logins", {"client_id": "demo_pkce", "count": 2})
            form = _form(one["refresh_token"], "demo_pkce")
            assert [200, 400] == [_post(endpoint, form)[0] for _ in range(2)]
            _sent(f"{control}/faults", {"storm": {"fault": {"kind": "throttled"}, "count": 1}})
            second = _form(two["refresh_token"], "demo_pkce")
            assert [429, 200] == [_post(endpoint, second)[0] for _ in range(2)]
            families = json.load(urlopen(f"{control}/ledger", timeout=SOON))["families"]
            assert [("reused", 2), (None, 2)] == [(one["died_because"], one["issued"]) for one in families]
            living = families[1]
            assert not _sent(f"{control}/revoke", {"family": living["id"]})["alive"]
            assert "hydra-1.0" == _sent(f"{control}/rules", {"dialect": "hydra-1.0"})["dialect"]
            dead = json.loads(_post(endpoint, _form(living["refresh_token"], "demo_pkce"))[1])
            assert "invalid_request" == dead["error"]
            process.send_signal(signal.SIGTERM)
            assert 0 == process.wait(SOON)

    def test_the_side_door_refuses_what_it_cannot_read(self) -> None:
        """A typing error in a test is answered in words, and changes nothing."""
        with _provider_only() as (_, said):
            for path, body in (
                ("logins", b'{"client_id":"nobody"}'),
                ("logins", b'{"client_id":"demo_pkce","count":0}'),
                ("faults", b'{"storm":{"fault":{"kind":"x"}}}'),
                ("faults", b'{"clear":true,"mix":[{"rate":2,"fault":{"kind":"page"}}]}'),
                ("rules", b'{"grce":"new"}'),
                ("rules", b'{"access_lifetime":"x"}'),
                ("revoke", b'{"family":"x"}'),
                ("revoke", b"not json"),
                ("revoke", b"[]"),
            ):
                status, answer = _post(f"{said['control']}/{path}", body)
                assert (400, ["error"]) == (status, list(json.loads(answer))), (path, body)


def _hurried(client: Client, deadline: timedelta) -> Client:
    values = {name: getattr(client, name) for name in client.__dataclass_fields__}
    return Client(**{**values, "request_timeout": deadline})


def _expect(expected: tuple[str, str], outcome: Outcome) -> None:
    kinds, code = expected
    assert (kinds, code or outcome.code) == kind(outcome)


def _present(provider: LedgerProvider, token: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(provider.ledger.present(PUBLIC, token, at=time.time()).body)
    return parsed


def _form(token: str, client: str = PUBLIC) -> bytes:
    return f"grant_type=refresh_token&client_id={client}&refresh_token={token}".encode()


def _post(url: str, body: bytes) -> tuple[int, bytes]:
    try:
        with urlopen(Request(url, data=body), timeout=SOON) as answer:
            return answer.status, answer.read()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def _sent(url: str, values: dict[str, object]) -> Any:
    status, answer = _post(url, json.dumps(values).encode())
    assert 200 == status, answer
    return json.loads(answer)


def _get(url: str, bearer: str) -> int:
    try:
        with urlopen(Request(url, headers={"Authorization": f"Bearer {bearer}"}), timeout=SOON) as answer:
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return refused.code


@contextmanager
def _provider_only(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "refreshd", "demo", "--provider-only", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(SOON)
