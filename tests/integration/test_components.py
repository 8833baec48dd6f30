"""The test components keep their own contract: a judge that cannot be trusted proves nothing about the daemon."""

import base64
import errno
import hashlib
import http.client
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from tests.components.oidc_server import SECRETS, Fault, FaultMode, Grant, Minted, OidcServer
from tests.components.ports import free_port
from tests.components.redis_server import RedisServer
from tests.components.tcp_proxy import TcpProxy

_PATIENCE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back from the token endpoint."""

    status: int
    fields: dict[str, object] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def refresh_token(self) -> str:
        """The rotated token."""
        token = self.fields["refresh_token"]
        assert isinstance(token, str)
        return token


def exchange(
    oidc: OidcServer, token: str, *, client: str = "conf", secret: str | None = None, timeout: float = _PATIENCE
) -> Answer:
    """One refresh, as a plain client does it. A broken line raises OSError or http.client.HTTPException."""
    form = {"grant_type": "refresh_token", "refresh_token": token}
    headers = {}
    secret = SECRETS.get(client) if secret is None else secret
    if client == "conf":
        headers["authorization"] = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
    else:
        form["client_id"] = client
        if secret is not None:
            form["client_secret"] = secret
    request = urllib.request.Request(oidc.token_endpoint, urllib.parse.urlencode(form).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return Answer(status=response.status, fields=json.load(response), headers=dict(response.headers))
    except urllib.error.HTTPError as refusal:
        with refusal:
            body = refusal.read()
            fields = json.loads(body) if body.startswith(b"{") else {}
            return Answer(status=refusal.code, fields=fields, headers=dict(refusal.headers))


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds within the patience of this module."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.01)
    return holds()


def grant_of(oidc: OidcServer, minted: Minted) -> Grant:
    return oidc.ledger()[minted.grant_id]


def fingerprint(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:16]


class TestRotation:
    """The authorization server rotates, and a token presented again ends its family."""

    @pytest.mark.parametrize("client", ["conf", "post", "pub"])
    def test_each_client_authenticates_in_its_own_way_and_gets_a_new_token(self, oidc: OidcServer, client: str) -> None:
        """All three client authentication methods work, and every refresh rotates."""
        [minted] = oidc.mint(client)
        answer = exchange(oidc, minted.refresh_token, client=client)
        assert answer.status == 200
        assert answer.refresh_token != minted.refresh_token
        assert answer.fields["expires_in"] == 20
        assert oidc.stats().by_client[client].requests == 1

    def test_a_chain_of_refreshes_stays_alive_and_is_in_the_ledger_in_order(self, oidc: OidcServer) -> None:
        """An obedient client is seen as obedient: nothing twice, nothing refused, every answer delivered."""
        [minted] = oidc.mint()
        tokens = [minted.refresh_token]
        for _ in range(3):
            tokens.append(exchange(oidc, tokens[-1]).refresh_token)
        grant = grant_of(oidc, minted)
        assert grant.alive
        assert [one.token for one in grant.tokens] == [fingerprint(token) for token in tokens]
        assert [one.answered for one in grant.tokens] == [True, True, True, False]
        assert [one.delivered_at is not None for one in grant.tokens] == [False, True, True, True]
        assert all(one.presented_at[0] >= one.issued_at for one in grant.tokens[:-1])
        stats = oidc.stats()
        assert (stats.token_requests, stats.ok, stats.err, stats.rotated) == (3, 3, 0, 3)
        assert (stats.presented, stats.presented_twice, stats.in_flight, stats.max_inflight) == (3, 0, 0, 1)

    def test_a_token_presented_twice_ends_the_family_and_is_counted(self, oidc: OidcServer) -> None:
        """Reuse detection: the second presentation is refused and takes the newest token with it."""
        [minted] = oidc.mint()
        newest = exchange(oidc, minted.refresh_token).refresh_token
        reused = exchange(oidc, minted.refresh_token)
        assert (reused.status, reused.fields["error"]) == (400, "invalid_grant")
        assert not grant_of(oidc, minted).alive
        stats = oidc.stats()
        assert (stats.presented_twice, stats.presented_twice_accepted_check) == (1, 1)
        assert stats.refused == {"invalid_grant": 1}
        assert exchange(oidc, newest).status == 400

    def test_a_revoked_grant_is_dead_and_its_neighbour_lives(self, oidc: OidcServer) -> None:
        """An administrator's revocation ends one grant only."""
        first, second = oidc.mint(n=2)
        oidc.revoke_grant(first.grant_id)
        assert [grant_of(oidc, one).alive for one in (first, second)] == [False, True]
        assert exchange(oidc, first.refresh_token).fields["error"] == "invalid_grant"
        assert exchange(oidc, second.refresh_token).status == 200

    def test_a_refresh_token_past_its_life_is_dead(self, oidc: OidcServer) -> None:
        """The ledger and the server agree on expiry."""
        [minted] = oidc.mint(ttl=1)
        assert grant_of(oidc, minted).alive
        assert eventually(lambda: not grant_of(oidc, minted).alive)
        assert eventually(lambda: time.time() > grant_of(oidc, minted).tokens[0].expires_at + 1)
        assert exchange(oidc, minted.refresh_token).fields["error"] == "invalid_grant"

    def test_without_rotation_the_token_stays_and_the_family_lives(self) -> None:
        """Presenting a token that does not rotate again and again is no offence."""
        with OidcServer(rotate=False, access_token_ttl=7) as oidc:
            [minted] = oidc.mint("pub")
            answers = [exchange(oidc, minted.refresh_token, client="pub") for _ in range(2)]
            assert [one.refresh_token for one in answers] == [minted.refresh_token] * 2
            assert [one.fields["expires_in"] for one in answers] == [7, 7]
            assert grant_of(oidc, minted).alive
            assert oidc.stats().presented_twice == 1


class TestFaults:
    """Each fault does exactly what it says, and the counts tell what happened."""

    def test_lost_rotates_and_never_answers(self, oidc: OidcServer) -> None:
        """The worst case for a rotating client: the old token is spent, the new one unknown."""
        [minted] = oidc.mint()
        oidc.fault(Fault(mode="lost", count=1))
        with pytest.raises((OSError, http.client.HTTPException)):
            exchange(oidc, minted.refresh_token)
        spent, unseen = grant_of(oidc, minted).tokens
        assert [(one.fault, one.status, one.answered_at) for one in spent.presentations] == [("lost", 200, None)]
        assert unseen.delivered_at is None
        assert (oidc.stats().rotated, oidc.stats().ok, oidc.stats().unanswered) == (1, 0, 1)
        assert exchange(oidc, minted.refresh_token).fields["error"] == "invalid_grant"
        assert not grant_of(oidc, minted).alive

    def test_truncate_rotates_and_answers_in_part(self, oidc: OidcServer) -> None:
        """Half an answer is no answer."""
        [minted] = oidc.mint()
        oidc.fault(Fault(mode="truncate", count=1))
        with pytest.raises((OSError, http.client.HTTPException, json.JSONDecodeError)):
            exchange(oidc, minted.refresh_token)
        assert eventually(lambda: oidc.stats().unanswered == 1)
        assert not grant_of(oidc, minted).tokens[0].answered
        assert len(grant_of(oidc, minted).tokens) == 2

    @pytest.mark.parametrize("mode", ["reset", "hang"])
    def test_reset_and_hang_leave_the_token_unspent(self, oidc: OidcServer, mode: FaultMode) -> None:
        """The provider never saw the token, so it can be presented again; both presentations are counted."""
        [minted] = oidc.mint()
        oidc.fault(Fault(mode=mode, count=1))
        with pytest.raises((OSError, http.client.HTTPException)):
            exchange(oidc, minted.refresh_token, timeout=0.3)
        assert exchange(oidc, minted.refresh_token).status == 200
        stats = oidc.stats()
        assert (stats.presented_twice, stats.presented_twice_accepted_check, stats.faulted) == (1, 0, 1)
        assert grant_of(oidc, minted).alive

    def test_a_reply_answers_instead_of_the_provider(self, oidc: OidcServer) -> None:
        """Status, header and body are the test's own, and it is no refusal by the provider."""
        [minted] = oidc.mint()
        oidc.fault(Fault(mode="reply", count=2, status=429, headers={"retry-after": "7"}, body="<html>slow down"))
        answers = [exchange(oidc, minted.refresh_token) for _ in range(3)]
        assert [one.status for one in answers] == [429, 429, 200]
        assert answers[0].headers["retry-after"] == "7"
        stats = oidc.stats()
        assert (stats.by_error, stats.refused) == ({"http_429": 2}, {})
        assert (stats.presented_twice, stats.presented_twice_accepted_check) == (1, 0)

    def test_slow_and_late_answer_after_their_time(self, oidc: OidcServer) -> None:
        """Both take their time; only `late` has rotated by then."""
        slow, late = oidc.mint(n=2)
        oidc.fault(Fault(mode="slow", count=1, ms=300), Fault(mode="late", count=1, ms=300))
        for minted, rotated in ((slow, 1), (late, 2)):
            with ThreadPoolExecutor(1) as pool:
                started = time.monotonic()
                answer = pool.submit(exchange, oidc, minted.refresh_token)
                time.sleep(0.15)
                assert len(grant_of(oidc, minted).tokens) == rotated
                assert answer.result().status == 200
                assert time.monotonic() - started >= 0.3

    def test_a_fault_may_meet_one_client_only(self, oidc: OidcServer) -> None:
        """One registration's outage is not another's."""
        oidc.fault(Fault(mode="reply", status=503, client="pub"))
        [conf], [pub] = oidc.mint("conf"), oidc.mint("pub")
        assert exchange(oidc, conf.refresh_token).status == 200
        assert [exchange(oidc, pub.refresh_token, client="pub").status for _ in range(2)] == [503, 503]
        oidc.fault()
        assert exchange(oidc, pub.refresh_token, client="pub").status == 200

    def test_an_unknown_fault_is_refused(self, oidc: OidcServer) -> None:
        """A misspelt fault must not pass for good weather."""
        with pytest.raises(ValueError, match="unknown fault mode"):
            oidc._control("fault", [{"mode": "lots"}])

    def test_latency_delays_every_exchange(self, oidc: OidcServer) -> None:
        """Half on the way in, half on the way out, and requests wait side by side."""
        oidc.latency(200)
        minted = oidc.mint(n=4)
        started = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda one: exchange(oidc, one.refresh_token), minted))
        assert {one.status for one in answers} == {200}
        assert 0.2 <= time.monotonic() - started < 0.8
        assert oidc.stats().max_inflight == 4

    def test_a_rotated_secret_counts_at_once(self, oidc: OidcServer) -> None:
        """The old secret is refused before the grant is looked at, the new one accepted."""
        [minted] = oidc.mint()
        oidc.set_secret("conf", "another-secret-0123456789")
        refused = exchange(oidc, minted.refresh_token)
        assert (refused.status, refused.fields["error"]) == (401, "invalid_client")
        assert exchange(oidc, minted.refresh_token, secret="another-secret-0123456789").status == 200
        stats = oidc.stats()
        assert stats.refused == {"invalid_client": 1}
        assert (stats.presented_twice, stats.presented_twice_accepted_check) == (1, 0)

    def test_the_server_ends_with_the_process_that_owns_it(self) -> None:
        """A killed test run leaves no server behind: it goes when its standard input closes."""
        with OidcServer() as oidc:
            process = oidc._process
            assert process is not None
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(_PATIENCE) == 0


class TestRedis:
    """Redis can stop, crash, lose its data, or keep it, and come back at the same address."""

    def test_a_restart_keeps_the_address_and_loses_the_data(self, redis_server: RedisServer) -> None:
        """Without a data directory a restart is a flush."""
        client = redis_server.client()
        client.set("k", "v")
        url = redis_server.url
        redis_server.stop()
        with pytest.raises(redis.ConnectionError):
            client.get("k")
        redis_server.start()
        assert redis_server.url == url
        assert client.get("k") is None

    def test_with_a_data_directory_writes_survive_a_crash(self, tmp_path: Path) -> None:
        """Every acknowledged write is on disk."""
        with RedisServer(data=tmp_path) as server:
            client = server.client()
            client.set("k", "v")
            server.kill()
            server.start()
            assert client.get("k") == "v"

    def test_a_dead_server_is_reported_at_once(self, redis_server: RedisServer) -> None:
        """The test's client neither retries nor waits."""
        client = redis_server.client()
        redis_server.kill()
        started = time.monotonic()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        assert time.monotonic() - started < 1

    def test_options_reach_the_server(self) -> None:
        """A password set by option is asked for."""
        with RedisServer(options=("--requirepass", "secret")) as server:
            with pytest.raises(redis.AuthenticationError):
                server.client().ping()
            with redis.Redis(port=server.port, password="secret", socket_timeout=2) as client:
                assert client.ping()


class TestProxy:
    """The line behaves as its switch says, and heals."""

    @pytest.fixture
    def proxy(self, redis_server: RedisServer) -> TcpProxy:
        return TcpProxy("127.0.0.1", redis_server.port)

    @staticmethod
    def ask(proxy: TcpProxy) -> bytes:
        """One PING over a fresh connection; b"" when the line is closed in order."""
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.5) as line:
            line.sendall(b"PING\r\n")
            return line.recv(100)

    def test_it_passes_what_comes(self, proxy: TcpProxy) -> None:
        """Nothing is changed on the way, and connections are counted."""
        with proxy:
            assert self.ask(proxy) == b"+PONG\r\n"
            assert proxy.accepted == 1

    def test_latency_counts_both_ways(self, proxy: TcpProxy) -> None:
        """Request and answer each wait."""
        with proxy:
            proxy.latency(0.1)
            started = time.monotonic()
            assert self.ask(proxy) == b"+PONG\r\n"
            assert time.monotonic() - started >= 0.2

    def test_a_blackhole_holds_back_and_lets_go(self, proxy: TcpProxy) -> None:
        """Silence, not loss: what was held back arrives when the line heals."""
        with proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as line:
            proxy.blackhole()
            line.sendall(b"PING\r\n")
            with pytest.raises(TimeoutError):
                line.recv(100)
            proxy.pass_through()
            assert line.recv(100) == b"+PONG\r\n"

    def test_refuse_closes_new_connections_only(self, proxy: TcpProxy) -> None:
        """A live connection goes on."""
        with proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=1) as line:
            line.sendall(b"PING\r\n")
            assert line.recv(100) == b"+PONG\r\n"
            proxy.refuse()
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=1) as refused:
                assert refused.recv(100) == b""
            line.sendall(b"PING\r\n")
            assert line.recv(100) == b"+PONG\r\n"

    def test_reset_breaks_live_and_new_connections(self, proxy: TcpProxy) -> None:
        """Both ends see a reset, until the line heals."""
        with proxy:
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=1) as line:
                line.sendall(b"PING\r\n")
                assert line.recv(100) == b"+PONG\r\n"
                proxy.reset()
                with pytest.raises(ConnectionResetError):
                    line.recv(100)
            with pytest.raises(ConnectionError):
                self.ask(proxy)
            proxy.pass_through()
            assert self.ask(proxy) == b"+PONG\r\n"

    def test_an_answer_is_cut_after_so_many_bytes(self, proxy: TcpProxy) -> None:
        """The first bytes arrive, then the connection is gone."""
        with proxy:
            proxy.cut_after(3)
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=1) as line:
                line.sendall(b"PING\r\n")
                assert line.recv(100, socket.MSG_WAITALL) == b"+PO"
                with pytest.raises(ConnectionResetError):
                    line.recv(100)

    def test_down_refuses_and_up_serves_on_the_same_port(self, proxy: TcpProxy) -> None:
        """Down is the kernel's own refusal."""
        with proxy:
            port = proxy.port
            proxy.down()
            with pytest.raises(ConnectionRefusedError):
                self.ask(proxy)
            proxy.up()
            assert proxy.port == port
            assert self.ask(proxy) == b"+PONG\r\n"

    def test_it_ends_with_live_connections(self, proxy: TcpProxy) -> None:
        """Leaving the context ends its thread whatever is still connected."""
        with proxy:
            proxy.blackhole()
            line = socket.create_connection(("127.0.0.1", proxy.port), timeout=1)
            line.sendall(b"PING\r\n")
        line.close()
        assert not proxy._thread.is_alive()
        assert not [one for one in threading.enumerate() if one.name == "tcp-proxy"]


def test_a_free_port_is_free_and_outside_the_ephemeral_range() -> None:
    """A component that comes back finds its port; no outgoing connection has taken it."""
    port = free_port()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
    with socket.socket() as knock:
        assert knock.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if ephemeral.exists():
        assert port < int(ephemeral.read_text().split()[0])


def test_leaving_stops_only_what_was_started() -> None:
    """Afterwards the process is gone, by the pid that was started."""
    with RedisServer() as server:
        pid = server.pid
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
