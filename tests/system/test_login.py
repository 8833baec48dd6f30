"""`refreshd login` against the real authorization server, over plain HTTP: the way in, the way back, and what is refused."""

import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.components.oidc_server import Fault, OidcServer
from tests.components.person import Person
from tests.components.redis_server import RedisServer
from tests.system.installation import Installation, until
from tests.system.login_site import SCOPE, installation, login_keys, oidc_process, redirect_uri
from tests.system.logins import LoginProcess

FIXTURES = (installation, oidc_process, redirect_uri)
"""pytest finds a module's fixtures by their names."""
ID = "acme/1"


def log_in(site: Installation, who: str, *, client: str = "pkce", code: int = 0) -> LoginProcess:
    """The whole of it, with the callback visited as a browser does."""
    with LoginProcess(site, ID, "--client", client) as login:
        callback = Person(who).log_in(login.url, to=login.redirect_uri)
        site.planted.add(parse_qs(urlsplit(callback).query)["code"][0])
        Person(who).visit(callback)
        login.ends(code)
    return login


def stored(site: Installation, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(site.database)) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("client", ["basic", "pkce"])
def test_a_login_becomes_a_token_in_redis(installation: Installation, redis_server: RedisServer, client: str) -> None:
    """Confidential client and public one, with the daemon running: at its next look."""
    with installation.daemon() as daemon:
        with LoginProcess(installation, ID, "--client", client) as login:
            assert login.url == login.opened
            callback = Person("alice").log_in(login.url, to=login.redirect_uri)
            status, page = Person().visit(callback)
            assert (200, f"{ID} logged in as alice\n") == (status, login.ends())
            assert "You may close this window" in page
        token = until_token(redis_server, seconds=2)
        assert ["1", client] == redis_server.client().hmget(f"refreshd:token:{ID}", "generation", "client")
        daemon.wait_for("credential.refreshed", seconds=30)  # on its own, before the 20 s are over
    installation.planted.add(token)
    assert "account\talice\n" in installation.command("show", ID)


def until_token(redis_server: RedisServer, *, seconds: float, other_than: str | None = None) -> str:
    redis = redis_server.client()

    def token() -> str | None:
        found = redis.hget(f"refreshd:token:{ID}", "access_token")
        return found if isinstance(found, str) and found != other_than else None

    until(token, seconds=seconds, what="a token in Redis")
    return str(token())


@pytest.mark.timeout(150)
def test_an_expired_login_is_replaced_by_a_new_one(
    install: Callable[..., Installation], redis_server: RedisServer
) -> None:
    """Refresh tokens that live shorter than access tokens: relogin_required, login, token within 2 s, flags gone."""
    with OidcServer(refresh_token_ttl=5) as oidc:
        site = install(scope=SCOPE, client_keys=login_keys(oidc, "http://127.0.0.1:1/callback"))
        site.oidc = oidc
        site.write_config()
        redis = redis_server.client()
        with site.daemon() as daemon:
            log_in(site, "alice")
            first = until_token(redis_server, seconds=5)
            daemon.wait_for("credential.relogin_required", seconds=100)
            until(lambda: redis.zscore("refreshd:relogin", ID), seconds=5, what="the flag")
            assert redis.hget(f"refreshd:token:{ID}", "access_token") is None
            log_in(site, "alice")
            until_token(redis_server, seconds=2, other_than=first)
            assert ("active", "") == tuple(redis.hmget(f"refreshd:status:{ID}", "status", "reason"))
            assert redis.zscore("refreshd:relogin", ID) is None
            assert "recovered" in str(redis.xrange("refreshd:events"))


def test_another_account_is_refused_and_the_living_login_goes_on(
    installation: Installation, redis_server: RedisServer
) -> None:
    """Both ids are named, and the refused tokens wait to be revoked."""
    with installation.daemon() as daemon:
        log_in(installation, "alice")
        until_token(redis_server, seconds=5)
        before = stored(installation, "SELECT family, account FROM credential")
        refused = log_in(installation, "bob", code=1)
        assert f"{ID} is account 'alice', but 'bob' logged in; the stored login is untouched" in refused.err
        assert before == stored(installation, "SELECT family, account FROM credential")
        daemon.wait_for("credential.refreshed", seconds=30)
    assert [] == stored(installation, "SELECT id FROM rescued_token")


class TestPasted:
    """`--no-browser`: on a server."""

    def test_the_redirected_address_is_pasted_back(self, installation: Installation) -> None:
        """Rubbish before it is refused with a hint, and asked for again."""
        with LoginProcess(installation, ID, "--client", "pkce", "--no-browser") as login:
            callback = Person("alice").log_in(login.url, to="http://127.0.0.1/callback")
            login.paste("rubbish")
            login.says("that is neither an address nor a code. Paste again:")
            login.paste(login.url)
            login.says("that is not the address that the provider sends the browser to. Paste again:")
            login.paste(callback.replace("state=", "state=x"))
            login.says("that address answers another login")
            login.paste(callback)
            assert f"{ID} logged in as alice\n" == login.ends()

    def test_the_bare_code_will_do(self, installation: Installation) -> None:
        """Where a page shows only that."""
        with LoginProcess(installation, ID, "--client", "pkce", "--no-browser") as login:
            callback = Person("alice").log_in(login.url, to="http://127.0.0.1/callback")
            login.paste(parse_qs(urlsplit(callback).query)["code"][0])
            assert f"{ID} logged in as alice\n" == login.ends()

    @pytest.mark.parametrize(
        ("lines", "words"), [(0, "the input ended"), (2, "the input ended"), (5, "nothing that was pasted")]
    )
    def test_it_ends_with_its_input(self, installation: Installation, lines: int, words: str) -> None:
        """Bounded, and nothing stored."""
        done = installation.run("login", ID, "--client", "pkce", "--no-browser", stdin="rubbish\n" * lines)
        assert (1, "") == (done.returncode, done.stdout)
        assert words in done.stderr
        assert [] == stored(installation, "SELECT id FROM credential")

    def test_an_address_elsewhere_is_always_pasted(
        self, install: Callable[..., Installation], oidc: OidcServer
    ) -> None:
        """A registration that may only name https cannot come back to a server of ours."""
        site = install(scope=SCOPE, client_keys=login_keys(oidc, "https://login.example/callback"))
        done = site.run("login", ID, "--client", "basic")
        assert "sent to https://login.example/callback" in done.stderr
        assert 1 == done.returncode


class TestRefused:
    """A plain message that says what to do next, exit code 1, nothing changed."""

    def test_the_person_who_says_no(self, installation: Installation) -> None:
        """`error=access_denied`."""
        with LoginProcess(installation, ID, "--client", "pkce") as login:
            callback = Person("alice").log_in(login.url, to=login.redirect_uri, consent=False)
            assert 400 == Person().visit(callback)[0]
            login.ends(1)
        assert "the provider answered access_denied" in login.err
        assert "log in again and allow the access" in login.err
        assert [] == stored(installation, "SELECT id FROM credential")

    def test_strangers_at_the_port_do_not_end_the_login(self, installation: Installation) -> None:
        """Foreign state, no state, an error that is not the provider's; then the person comes."""
        with LoginProcess(installation, ID, "--client", "pkce") as login:
            for query in ("?code=stolen&state=foreign", "?code=stolen", "?error=access_denied", "/elsewhere"):
                assert 400 <= Person().visit(login.redirect_uri + query)[0] < 500
            login.says("a callback with another login's state was refused")
            login.says("a callback without a state was refused")
            Person().visit(Person("alice").log_in(login.url, to=login.redirect_uri))
            assert f"{ID} logged in as alice\n" == login.ends()

    def test_a_closed_browser(self, installation: Installation) -> None:
        """A time-out with advice."""
        done = installation.run("login", ID, "--client", "pkce", "--timeout", "300ms", timeout=20)
        assert 1 == done.returncode
        assert (
            "no answer within 300ms; nothing was stored. If the browser showed an error: register exactly http"
            in done.stderr
        )
        assert f"refreshd login {ID} --client pkce --no-browser" in done.stderr

    def test_another_issuer(self, install: Callable[..., Installation], oidc: OidcServer, redirect_uri: str) -> None:
        """The code is sent nowhere."""
        site = install(scope=SCOPE, client_keys=login_keys(oidc, redirect_uri, issuer="https://login.example"))
        refused = log_in(site, "alice", code=1)
        assert f"the callback was sent by '{oidc.url}', not by 'https://login.example'" in refused.err
        assert 0 == oidc.stats().token_requests

    def test_a_port_that_is_taken(self, installation: Installation, redirect_uri: str) -> None:
        """Before anybody is sent to a browser."""
        with LoginProcess(installation, ID, "--client", "basic") as first:
            assert redirect_uri == first.redirect_uri
            done = installation.run("login", "acme/2", "--client", "basic")
        assert 1 == done.returncode
        assert "choose another in redirect_uri (and at the provider), or use --no-browser" in done.stderr
        assert "Log in at this address" not in done.stderr

    def test_a_login_without_the_offline_scope(
        self, install: Callable[..., Installation], oidc: OidcServer, redirect_uri: str
    ) -> None:
        """It would end with its access token: said at once, nothing stored."""
        site = install(scope="openid read", client_keys=login_keys(oidc, redirect_uri))
        refused = log_in(site, "alice", code=1)
        assert "the provider gave no refresh token" in refused.err
        assert [] == stored(site, "SELECT id FROM credential")

    def test_a_wrong_secret(self, installation: Installation, oidc: OidcServer) -> None:
        """The client is to blame, and the code was not spent on anybody's login."""
        oidc.set_secret("conf", "another-secret-0123456789")
        refused = log_in(installation, "alice", client="basic", code=1)
        assert "invalid_client" in refused.err
        assert "Check token_endpoint, client_id, client_secret" in refused.err

    def test_an_answer_that_is_lost(self, installation: Installation, oidc: OidcServer) -> None:
        """The code is not presented again: that would end what it brought."""
        oidc.fault(Fault(mode="lost"))
        refused = log_in(installation, "alice", code=1)
        assert "The code may be spent, and works once" in refused.err
        assert 1 == oidc.stats().token_requests

    def test_a_provider_that_is_busy_for_a_moment(self, installation: Installation, oidc: OidcServer) -> None:
        """What surely was not processed is sent again."""
        oidc.fault(Fault(mode="reply", status=503, headers={"retry-after": "1"}, count=1))
        login = log_in(installation, "alice")
        assert "the token endpoint could not take the code yet (http_503); once more" in login.err

    def test_a_store_that_is_locked_spends_no_code(self, installation: Installation, oidc: OidcServer) -> None:
        """The last look is right before the exchange."""
        with LoginProcess(installation, ID, "--client", "pkce") as login:
            callback = Person("alice").log_in(login.url, to=login.redirect_uri)
            with closing(sqlite3.connect(installation.database)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                assert 400 == Person().visit(callback)[0]
                login.ends(1)
                holder.rollback()
        assert "so no code was spent; mend that, then: refreshd login" in login.err
        assert 0 == oidc.stats().token_requests


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("acme/1", "--client", "nobody"), "no client 'nobody' is configured (there are: basic, pkce)"),
        (("not an id", "--client", "pkce"), "the id 'not an id' is not allowed"),
        (("acme/1", "--client", "pkce", "--timeout", "soon"), "'soon' is not a duration"),
        (("acme/1",), "--client"),
    ],
)
def test_wrong_usage_is_said_at_once(installation: Installation, arguments: tuple[str, ...], words: str) -> None:
    """Exit code 2, and no store is made for it."""
    done = installation.run("login", *arguments)
    assert 2 == done.returncode
    assert words in done.stderr
    assert not installation.database.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('authorization_endpoint = "http://login.example/auth"', "must be an https URL"),
        ('redirect_uri = "http://login.example/callback"', "must be an address on this machine"),
        ('redirect_uri = "http://127.0.0.1/callback?x=1"', "must hold neither"),
        ('authorization_parameters = ["state=mine"]', "must not name state"),
        ('authorization_parameters = ["prompt"]', "must be a list of parameters"),
        ("", "clients.pkce.authorization_endpoint is needed for a login"),
    ],
)
def test_what_is_configured_wrongly_is_said_at_once(
    install: Callable[..., Installation], line: str, words: str
) -> None:
    """An http address beyond loopback, parameters that only a login may set, no login page at all: exit code 2, with its place."""
    made = install()
    made.client_keys = {"pkce": [line]}
    made.write_config()
    done = made.run("login", ID, "--client", "pkce")
    assert 2 == done.returncode
    assert words in done.stderr
    assert "clients.pkce." in done.stderr


class TestInterrupted:
    """Ctrl-C, a stop, a terminal that is closed."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_while_nobody_has_logged_in(self, installation: Installation, number: signal.Signals) -> None:
        """At once, in words, and without a traceback."""
        with LoginProcess(installation, ID, "--client", "pkce") as login:
            assert login.opened
            login.process.send_signal(number)
            began = time.monotonic()
            login.ends(1)
        assert time.monotonic() - began < 5
        assert "interrupted; nothing was stored" in login.err
        assert "Traceback" not in login.err

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_while_the_answer_is_on_its_way(
        self, installation: Installation, oidc: OidcServer, number: signal.Signals
    ) -> None:
        """R2: the provider has spent the code, so its answer is stored before the process ends. However often."""
        oidc.latency(1500)
        with LoginProcess(installation, ID, "--client", "pkce") as login:
            callback = Person("alice").log_in(login.url, to=login.redirect_uri)
            login.visit_later(callback)
            until(lambda: oidc.stats().in_flight, seconds=10, what="the exchange under way")
            for _ in range(3):
                login.process.send_signal(number)
                time.sleep(0.2)
            assert f"{ID} logged in as alice\n" == login.ends()
        assert [(1,)] == stored(installation, "SELECT generation FROM credential")


def test_a_machine_without_a_browser(installation: Installation) -> None:
    """The address is printed anyway, and the login goes on."""
    with LoginProcess(installation, ID, "--client", "pkce", environ={"BROWSER": "/nonexistent/browser %s"}) as login:
        login.says("no browser could be opened here: open the address yourself")
        Person().visit(Person("alice").log_in(login.url, to=login.redirect_uri))
        login.ends()


def test_a_store_that_refuses_the_answer_is_asked_until_it_takes_it(
    installation: Installation, oidc: OidcServer
) -> None:
    """R6: a store that is locked when the answer comes is asked until it takes it; signals wait as well."""
    oidc.latency(1500)
    with LoginProcess(installation, ID, "--client", "pkce") as login:
        callback = Person("alice").log_in(login.url, to=login.redirect_uri)
        login.visit_later(callback)
        until(lambda: oidc.stats().in_flight, seconds=10, what="the exchange under way")
        with closing(sqlite3.connect(installation.database)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            login.says("THE ANSWER IS NOT STORED YET")
            login.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            assert login.process.poll() is None
            holder.rollback()
        assert f"{ID} logged in as alice\n" == login.ends()


def test_a_fixed_port_is_free_again_at_once(installation: Installation) -> None:
    """A second try does not have to wait for the kernel."""
    for _ in range(2):
        log_in(installation, "alice", client="basic")
