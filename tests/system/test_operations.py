"""The daemon in the hands of its operator, with real servers: stops, wrong secrets, lost Redis, switches."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.components.oidc_server import SECRETS, Fault, OidcServer
from tests.components.redis_server import RedisServer
from tests.system.installation import Installation, until, write_private

Install = Callable[..., Installation]


def tokens(redis: Any, ids: list[str]) -> dict[str, dict[str, str]]:
    """What consumers can read now, by id."""
    found = {name: redis.hgetall(f"refreshd:token:{name}") for name in ids}
    return {name: fields for name, fields in found.items() if "access_token" in fields}


def stream(redis: Any) -> list[dict[str, str]]:
    """The entries of the event stream, oldest first."""
    return [fields for _, fields in redis.xrange("refreshd:events")]


def test_sigterm_in_the_middle_of_slow_refreshes_loses_nothing(
    install: Install, oidc: OidcServer, redis_server: RedisServer
) -> None:
    """Answers on their way are awaited, stored and published; a second SIGTERM changes nothing; the exit code is 0."""
    installation = install()
    ids = [*installation.log_in("basic", 12), *installation.log_in("pkce", 12)]
    oidc.latency(2000)
    with installation.daemon() as daemon:
        until(lambda: oidc.stats().in_flight >= 16, seconds=10, what="slow requests in flight")
        began = time.monotonic()
        daemon.process.terminate()
        daemon.wait_for("daemon.draining")
        daemon.process.terminate()
        assert 0 == daemon.process.wait(20)
        waited = time.monotonic() - began
        drained = daemon.events("daemon.draining")[0]["in_flight"]
    rotated = oidc.stats().rotated
    assert rotated == len(tokens(redis_server.client(), ids))
    print(f"SIGTERM with {drained} requests in flight: stopped after {waited:.1f} s, {rotated} answers kept")
    assert drained >= 16
    oidc.latency(0)
    with installation.daemon() as daemon:
        until(lambda: len(tokens(redis_server.client(), ids)) == len(ids), seconds=10, what="all published")
        assert [] == daemon.events("daemon.open_attempts_found")
    stats = oidc.stats()
    assert ({}, 0) == (dict(stats.refused), stats.presented_twice)


def test_a_wrong_client_secret_suspends_the_client_and_nobody_is_asked_to_log_in(
    install: Install, oidc: OidcServer, redis_server: RedisServer
) -> None:
    """One error line, no flag; with the right secret and a restart all are refreshed."""
    oidc.set_secret("conf", "rotated-at-the-provider")
    installation = install()
    ids = list(installation.log_in("basic", 40))
    with installation.daemon() as daemon:
        daemon.wait_for("client.suspended")
        time.sleep(3)
        assert 1 == len(daemon.events("client.suspended"))
        errors = [line for line in daemon.text.splitlines() if '"level":"error"' in line]
        assert 1 == len(errors)
        assert 1 == daemon.metric("refreshd_clients_suspended", client="basic", cause="invalid_client")
        assert oidc.stats().token_requests <= 16
    views = installation.views()
    assert {("active", False, 0, 0)} == {
        (view["status"], view["in_doubt"], view["failures"], view["rejections"]) for view in views.values()
    }
    installation.secret = "rotated-at-the-provider"
    installation.write_config()
    with installation.daemon():
        until(lambda: len(tokens(redis_server.client(), ids)) == len(ids), seconds=15, what="all refreshed")
    assert 0 == oidc.stats().presented_twice_accepted_check
    installation.planted.add("rotated-at-the-provider")


@pytest.mark.timeout(180)
def test_redis_may_go_away_and_come_back_empty(install: Install, oidc: OidcServer, redis_server: RedisServer) -> None:
    """30 s without Redis: refreshing goes on, all is published within 2 s of its return; after a flush within 60 s."""
    installation = install()
    ids = [*installation.log_in("basic", 20), *installation.log_in("pkce", 20)]
    client = redis_server.client()
    with installation.daemon() as daemon:
        until(lambda: len(tokens(client, ids)) == len(ids), seconds=15, what="first publication")
        before = oidc.stats().rotated
        redis_server.stop()
        time.sleep(30)
        meanwhile = oidc.stats().rotated - before
        assert 200 == daemon.get("/readyz")[0]
        redis_server.start()
        back = until(lambda: len(tokens(client, ids)) == len(ids), seconds=10, what="published after the outage")
        client.flushall()
        again = until(lambda: len(tokens(client, ids)) == len(ids), seconds=60, what="published after the flush")
        until(lambda: daemon.metric("refreshd_republishes_total", reason="flushed") == 1, seconds=10, what="noticed")
        assert 1 == len(daemon.events("redis.unavailable"))
    print(f"{meanwhile} refreshes during the outage; back after {back:.2f} s; after FLUSHALL {again:.2f} s")
    assert meanwhile >= len(ids)
    assert back <= 2
    stats = oidc.stats()
    assert ({}, 0) == (dict(stats.refused), stats.presented_twice)


def test_switches_are_seen_within_a_moment(install: Install, redis_server: RedisServer) -> None:
    """Pause withdraws the token, resume shows it again, refresh and token wait for the daemon, remove erases."""
    installation = install()
    installation.log_in("basic", 3)
    client = redis_server.client()
    with installation.daemon() as daemon:
        until(lambda: len(tokens(client, ["basic/0000", "basic/0001", "basic/0002"])) == 3, seconds=10, what="tokens")
        generation = client.hget("refreshd:token:basic/0000", "generation")
        installation.command("pause", "basic/0000")
        until(lambda: not tokens(client, ["basic/0000"]), seconds=3, what="withdrawn")
        assert {"generation": generation, "schema": "1"}.items() <= client.hgetall("refreshd:token:basic/0000").items()
        assert "paused" == client.hget("refreshd:status:basic/0000", "status")
        assert "is paused" in installation.run("token", "basic/0000").stderr
        installation.command("resume", "basic/0000")
        until(lambda: tokens(client, ["basic/0000"]), seconds=3, what="shown again")
        assert "refreshed" == installation.command("refresh", "basic/0001").strip()
        shown = tokens(client, ["basic/0001"])["basic/0001"]["access_token"]
        installation.planted.discard(shown)
        assert shown == installation.command("token", "basic/0001", "--min-valid", "5s").strip()
        vain = installation.run("token", "basic/0001", "--min-valid", "1h")
        assert (1, True) == (vain.returncode, "basic/0001 live 20s from the moment they are issued" in vain.stderr)
        installation.command("remove", "basic/0002")
        until(lambda: "status" not in client.hgetall("refreshd:status:basic/0002"), seconds=3, what="removed")
        assert 1 == installation.run("show", "basic/0002").returncode
        events = [fields["type"] for fields in stream(client)]
        assert {"paused", "resumed", "removed", "refreshed"} == set(events)
        assert '"event": "token.read"' in (installation.directory / "audit.log").read_text()
        assert 2 == len(installation.views())
        assert 200 == daemon.get("/livez")[0]


@pytest.mark.timeout(180)
def test_a_dead_login_is_flagged_and_a_new_one_brings_it_back(
    install: Install, oidc: OidcServer, redis_server: RedisServer
) -> None:
    """Confirmed refusal: status, reason, sorted set, event, metric and log say so; `import --replace` heals the same id."""
    installation = install()
    grants = installation.log_in("basic", 2)
    client = redis_server.client()
    with installation.daemon() as daemon:
        until(lambda: len(tokens(client, list(grants))) == 2, seconds=10, what="tokens")
        oidc.revoke_grant(grants["basic/0000"].grant_id)
        installation.command("refresh", "basic/0000", expect=1)
        assert "active" == client.hget("refreshd:status:basic/0000", "status")
        daemon.wait_for("credential.relogin_required", seconds=70)
        until(lambda: not tokens(client, ["basic/0000"]), seconds=3, what="withdrawn")
        status = client.hgetall("refreshd:status:basic/0000")
        assert ("relogin_required", "refused") == (status["status"], status["reason"])
        assert ["basic/0000"] == client.zrange("refreshd:relogin", 0, -1)
        generation = int(status["generation"])
        login = oidc.mint("conf", 1)[0]
        installation.planted.add(login.refresh_token)
        response = f'{{"refresh_token": "{login.refresh_token}", "scope": "offline_access read"}}'
        assert (
            1 == installation.run("import", "-", "--id", "basic/0000", "--client", "basic", stdin=response).returncode
        )
        installation.command("import", "-", "--id", "basic/0000", "--client", "basic", "--replace", stdin=response)
        until(lambda: tokens(client, ["basic/0000"]), seconds=5, what="published again")
        assert generation < int(client.hget("refreshd:token:basic/0000", "generation") or 0)
        assert [] == client.zrange("refreshd:relogin", 0, -1)
        events = [fields["type"] for fields in stream(client) if fields["id"] == "basic/0000"]
        assert "relogin_required" in events
        assert "recovered" in events


def test_logins_near_their_end_are_flagged_once_a_step(install: Install, redis_server: RedisServer) -> None:
    """7, 3 and 1 days before: status hash, sorted set, event, metric, list and log; one event for several steps at once."""
    installation = install(refresh_token_lifetime="30d")
    minted = installation.oidc.mint("conf", 2)
    installation.planted |= {one.refresh_token for one in minted}
    for name, one, days in (("near", minted[0], 28), ("far", minted[1], 1)):
        login_at = str(int(time.time()) - days * 86400)
        response = f'{{"refresh_token": "{one.refresh_token}", "scope": "offline_access read"}}'
        installation.command("import", "-", "--id", name, "--client", "basic", "--login-at", login_at, stdin=response)
    client = redis_server.client()
    with installation.daemon() as daemon:
        [warned] = daemon.wait_for("credential.relogin_soon")
        assert ("near", 2) == (warned["id"], warned["step"])
        until(lambda: client.zrange("refreshd:relogin", 0, -1) == ["near"], seconds=5, what="in the sorted set")
        status = client.hgetall("refreshd:status:near")
        assert ("active", "1") == (status["status"], status["relogin_soon"])
        assert str(int(client.zscore("refreshd:relogin", "near") or 0)) == status["relogin_by"]
        soon = "refreshd_credentials_relogin_soon"  # counted right after the warning, in the same round
        until(lambda: daemon.metric(soon, client="basic") == 1, seconds=5, what="counted")
        until(lambda: len(tokens(client, ["near", "far"])) == 2, seconds=10, what="tokens")
        time.sleep(6)
        assert 1 == len(daemon.events("credential.relogin_soon"))
        kinds = [fields["type"] for fields in stream(client) if fields["id"] == "near"]
        assert 1 == kinds.count("relogin_soon")
    assert {"near": True, "far": False} == {name: view["relogin_soon"] for name, view in installation.views().items()}


def test_the_history_names_every_attempt(install: Install, oidc: OidcServer) -> None:
    """When, with which generation, how far it came and what became of it: also for an answer that never came."""
    installation = install()
    installation.log_in("basic", 1)
    oidc.fault(Fault(mode="reset", count=1))
    with installation.daemon() as daemon:
        instance = daemon.wait_for("daemon.started")[0]["instance"]
        daemon.wait_for("credential.refreshed")
        entries = [json.loads(line) for line in installation.command("history", "basic/0000", "--json").splitlines()]
        table = installation.command("history", "basic/0000")
    assert [("refreshed", "answered", 1), ("uncertain", "sent", 1)] == [
        (one["outcome"], one["phase"], one["generation"]) for one in entries[-2:]
    ]
    assert {instance} == {one["owner"] for one in entries}
    assert len(entries) + 1 == len(table.splitlines())
    assert 1 == installation.run("history", "nobody").returncode


def test_a_copy_of_the_store_that_is_behind_presents_nothing_until_it_is_adopted(
    install: Install, oidc: OidcServer, redis_server: RedisServer
) -> None:
    """R11: started from an old copy, what Redis shows tells; the live login is not ended by a spent token."""
    installation = install()
    installation.log_in("basic", 2)
    client = redis_server.client()
    with installation.daemon() as daemon:
        daemon.wait_for("credential.refreshed", count=2)
    copy = installation.database.read_bytes()
    with installation.daemon() as daemon:
        until(lambda: int(client.hget("refreshd:status:basic/0000", "generation") or 0) > 3, seconds=60, what="later")
    live = dict(client.hgetall("refreshd:token:basic/0000"))
    for name in ("", "-wal", "-shm"):
        installation.database.with_name(installation.database.name + name).unlink(missing_ok=True)
    write_private(installation.database, "")
    installation.database.write_bytes(copy)
    before = oidc.stats().token_requests
    with installation.daemon() as daemon:
        daemon.wait_for("credential.held", count=2)
        until(lambda: client.hget("refreshd:status:basic/0000", "status") == "held", seconds=5, what="shown")
        assert {"held": ["store_behind"] * 2} == {"held": [one["reason"] for one in installation.views().values()]}
        assert live.get("access_token") in (None, client.hget("refreshd:token:basic/0000", "access_token"))
        assert before == oidc.stats().token_requests
        assert "1 adopted" in installation.command("adopt", "basic/0000")
        daemon.wait_for("credential.refresh_rejected", count=1)
        assert 1 == installation.run("adopt", "basic/0000").returncode
    assert before < oidc.stats().token_requests


def test_keys_of_another_store_are_left_alone_until_they_are_adopted(
    install: Install, redis_server: RedisServer
) -> None:
    """R11: both names are said, nothing is published; after `adopt --all` tokens are there."""
    installation = install()
    ids = list(installation.log_in("basic", 2))
    client = redis_server.client()
    client.hset("refreshd:meta", "store_id", "somebody-else")
    with installation.daemon() as daemon:
        foreign = daemon.wait_for("redis.foreign_meta")[0]
        daemon.wait_for("credential.refreshed", count=2)
        assert "somebody-else" == foreign["found"]
        assert {} == tokens(client, ids)
        refused = installation.run("check")
        assert (1, True, True) == (
            refused.returncode,
            "somebody-else" in refused.stderr,
            str(foreign["ours"]) in refused.stderr,
        )
        assert "0 adopted" in installation.command("adopt", "--all")
        until(lambda: len(tokens(client, ids)) == 2, seconds=15, what="published after the adoption")
        installation.command("check")


def test_one_daemon_a_store_and_commands_beside_it(install: Install) -> None:
    """The lock refuses a second run; every other command works while the daemon runs."""
    installation = install()
    installation.log_in("basic", 1)
    with installation.daemon():
        second = installation.run("run")
        assert (1, True) == (second.returncode, "already runs" in second.stderr.strip().splitlines()[-1])
        installation.command("list")
        installation.command("show", "basic/0000")
        installation.command("check")
        installation.command("config", "print")
        installation.command("migrate", expect=1)


def test_a_wrong_or_missing_key_stops_the_start_and_changes_nothing(install: Install) -> None:
    """A clear line, exit 1, the store as it was, and all well with the right key again."""
    installation = install()
    installation.log_in("basic", 2)
    ring = installation.directory / "encryption.key"
    right, before = ring.read_text(), installation.database.read_bytes()
    ring.unlink()
    assert "there is no key ring" in installation.run("run").stderr
    installation.command("keys", "new")
    refused = installation.run("run")
    assert (1, True) == (refused.returncode, "does not hold the store's key" in refused.stderr)
    ring.write_text(right)
    assert before == installation.database.read_bytes()
    with installation.daemon() as daemon:
        daemon.wait_for("credential.refreshed", count=2)


def test_secrets_of_the_provider_stay_out_of_every_output(install: Install, oidc: OidcServer) -> None:
    """Everything that any command or the log at debug printed is searched; here with failures of every kind on purpose."""
    installation = install()
    grants = {**installation.log_in("basic", 6), **installation.log_in("pkce", 6)}
    secret = SECRETS["conf"]
    echo = f'{{"error":"server_error","error_description":"{secret} {grants["basic/0000"].refresh_token}"}}'
    oidc.fault(
        Fault(mode="reply", count=3, status=500, body=echo),
        Fault(mode="reset", count=3),
        Fault(mode="truncate", count=2),
        Fault(mode="reply", count=2, status=401, body="<html>no</html>"),
    )
    with installation.daemon() as daemon:
        daemon.wait_for("credential.refreshed", count=2)
        daemon.get("/metrics")
        for arguments in (("list",), ("list", "--json"), ("show", "basic/0000"), ("config", "print"), ("check",)):
            installation.command(*arguments)
    outcomes = {name for name in ("credential.refresh_uncertain", "credential.refresh_rejected") if name in daemon.text}
    assert 2 == len(outcomes)
    assert len("\n".join(installation.output)) > 5000
