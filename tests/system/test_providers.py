"""Providers by their issuer, clients without people, and `check --live`, with the installed command and real servers."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.components.oidc_server import SECRETS, OidcServer
from tests.components.ports import free_port
from tests.components.redis_server import RedisServer
from tests.system.installation import Installation, until, write_private

Install = Callable[..., Installation]


def table(installation: Installation, name: str, client_id: str, secret: str | None = None, **keys: str) -> str:
    """A client's table, its secret in a file of its own."""
    lines = [f"[clients.{name}]", f'client_id = "{client_id}"']
    if secret is not None:
        write_private(installation.directory / f"{name}.secret", secret)
        installation.planted.add(secret)
        lines.append(f'client_secret_file = "{name}.secret"')
    lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join([*lines, ""])


def configure(installation: Installation, *tables: str) -> None:
    installation.extra = "\n".join(tables)
    installation.write_config()


def live(installation: Installation) -> tuple[subprocess.CompletedProcess[str], Mapping[str, Mapping[str, Any]]]:
    done = installation.run("check", "--live", "--json")
    return done, {one["client"]: one for one in json.loads(done.stdout)["clients"]}


@pytest.mark.timeout(90)
def test_a_client_credential_is_refreshed_four_times_and_nobody_is_ever_asked_to_log_in(
    install: Install, oidc: OidcServer, redis_server: RedisServer
) -> None:
    """By issuer alone; each generation visible in Redis, each token new, no refresh token anywhere."""
    installation = install()
    configure(
        installation,
        table(
            installation,
            "service",
            "svc",
            SECRETS["svc"],
            issuer=oidc.url,
            grant="client_credentials",
            scope="read",
            access_token_lifetime="20s",
            refresh_token_lifetime="14d",
            required_scope="offline_access",
        ),
    )
    installation.command("import", "-", stdin='{"id": "acme/service", "client": "service"}')
    redis = redis_server.client()
    seen: dict[str, str] = {}

    def five_generations() -> bool:
        seen.update(_generation(redis, "acme/service"))
        return len(seen) >= 5

    with installation.daemon() as daemon:
        until(five_generations, seconds=75, what="a first token and four after it")
        assert 5 <= daemon.metric("refreshd_refreshes_total", client="service", outcome="refreshed")
    assert len(seen) == len(set(seen.values()))
    status = redis.hgetall("refreshd:status:acme/service")
    assert ("active", "0", "") == (status["status"], status["relogin_soon"], status.get("relogin_by", ""))
    view = installation.views()["acme/service"]
    assert ("client_credentials", None, 0) == (view["grant"], view["relogin_by"], view["failures"])
    assert "nobody has to log in" in installation.command("show", "acme/service")
    assert "no login needed" in installation.command("list")
    assert (0, 0) == (oidc.stats().presented, oidc.stats().err)


def _generation(redis: Any, name: str) -> dict[str, str]:
    fields = redis.hgetall(f"refreshd:token:{name}")
    return {fields["generation"]: fields["access_token"]} if "access_token" in fields else {}


def test_check_live_tells_what_is_wrong_of_each_client_and_spends_nothing(install: Install, oidc: OidcServer) -> None:
    """A wrong secret, a wrong id, a wrong address and healthy clients, by issuer and by endpoint; every login is as before."""
    installation = install()
    minted = [*oidc.mint("conf", 2), *oidc.mint("pub", 1)]
    right, free = SECRETS["conf"], free_port()
    by_endpoint = {"provider": "generic", "authorization_endpoint": oidc.authorization_endpoint}
    configure(
        installation,
        table(installation, "healthy", "conf", right, issuer=oidc.url),
        table(installation, "public", "pub", issuer=oidc.url),
        table(installation, "service", "svc", SECRETS["svc"], issuer=oidc.url, grant="client_credentials"),
        table(installation, "wrong_secret", "conf", "wrong-secret", issuer=oidc.url),
        table(installation, "wrong_id", "konf", right, issuer=oidc.url),
        table(installation, "wrong_public", "pup", issuer=oidc.url),
        table(installation, "wrong_service", "svc", "wrong-secret", issuer=oidc.url, grant="client_credentials"),
        table(installation, "wrong_url", "conf", right, token_endpoint=f"{oidc.url}/tokens", **by_endpoint),
        table(installation, "wrong_issuer", "conf", right, issuer=f"{oidc.url}/"),
        table(installation, "no_secret", "conf", issuer=oidc.url),
        table(installation, "away", "conf", right, token_endpoint=f"http://127.0.0.1:{free}/token", **by_endpoint),
        table(installation, "away_issuer", "conf", right, issuer=f"http://127.0.0.1:{free}"),
    )
    done, found = live(installation)
    assert 1 == done.returncode
    told = {name: (one["verdict"], one["mend"]) for name, one in found.items()}
    assert told == {
        "basic": ("ok", None),
        "pkce": ("ok", None),
        "healthy": ("ok", None),
        "public": ("ok", None),
        "service": ("ok", None),
        "wrong_secret": ("wrong", "clients.wrong_secret.client_secret"),
        "wrong_id": ("wrong", "clients.wrong_id.client_id"),
        "wrong_public": ("wrong", "clients.wrong_public.client_id"),
        "wrong_service": ("wrong", "clients.wrong_service.client_secret"),
        "wrong_url": ("wrong", "clients.wrong_url.token_endpoint"),
        "wrong_issuer": ("wrong", "clients.wrong_issuer.issuer"),
        "no_secret": ("wrong", "clients.no_secret.client_secret"),
        "away": ("unreachable", None),
        "away_issuer": ("unreachable", "clients.away_issuer.issuer"),
    }
    assert "not every client can be used" in done.stderr
    ledger = oidc.ledger()
    assert all(ledger[one.grant_id].alive for one in minted)
    assert [] == [token for one in minted for token in ledger[one.grant_id].tokens if token.presentations]
    assert (0, 0) == (oidc.stats().rotated, oidc.stats().presented_twice)


def test_check_live_of_healthy_clients_ends_well_and_looks_at_no_credential(install: Install, oidc: OidcServer) -> None:
    """Exit 0, a table for people, and the store as it was."""
    installation = install()
    grants = installation.log_in("basic", 3)
    before = installation.views()
    text = installation.command("check", "--live")
    assert "basic\tok\t" in text
    assert text.endswith("ok\n")
    assert before == installation.views()
    assert all(oidc.ledger()[one.grant_id].alive for one in grants.values())


@pytest.mark.timeout(90)
def test_a_client_of_an_unreachable_provider_waits_and_the_others_run(
    install: Install, redis_server: RedisServer
) -> None:
    """Started without its provider and without a copy; when the provider comes it is refreshed, and then starts without it."""
    port = free_port()
    installation = install()
    configure(
        installation,
        table(
            installation,
            "late",
            "svc",
            SECRETS["svc"],
            issuer=f"http://127.0.0.1:{port}",
            grant="client_credentials",
            access_token_lifetime="20s",
        ),
    )
    installation.log_in("basic", 1)
    installation.command("import", "-", stdin='{"id": "late/1", "client": "late"}')
    redis = redis_server.client()
    with installation.daemon() as daemon:
        until(lambda: redis.hexists("refreshd:token:basic/0000", "access_token"), seconds=20, what="the other client")
        [told] = daemon.wait_for("client.suspended")
        assert ("late", "metadata_unreachable") == (told["client"], told["cause"])
        assert 1 == daemon.metric("refreshd_clients_suspended", client="late", cause="metadata_unreachable")
        assert not redis.exists("refreshd:token:late/1")
        with OidcServer(port=port):
            until(lambda: redis.hexists("refreshd:token:late/1", "access_token"), seconds=40, what="the late client")
        daemon.wait_for("client.resumed")
    with installation.daemon() as daemon:  # its provider is gone again: the copy will do
        daemon.wait_for("credential.refresh_deferred", seconds=30)
        assert [] == daemon.events("client.suspended")


def test_a_document_that_lies_keeps_its_client_from_work_and_from_nothing_else(
    install: Install, oidc: OidcServer, redis_server: RedisServer
) -> None:
    """The issuer is written otherwise than the provider writes it: suspended, in words, nothing sent."""
    installation = install()
    configure(installation, table(installation, "liar", "conf", SECRETS["conf"], issuer=f"{oidc.url}/"))
    installation.log_in("basic", 1)
    minted = oidc.mint("conf", 1)[0]
    entry = {"id": "liar/1", "client": "liar", "refresh_token": minted.refresh_token}
    installation.command("import", "-", stdin=json.dumps(entry))
    with installation.daemon() as daemon:
        [told] = daemon.wait_for("client.suspended")
        redis = redis_server.client()
        until(lambda: redis.hexists("refreshd:token:basic/0000", "access_token"), seconds=20, what="the other client")
    assert "metadata_refused" == told["cause"]
    assert "it says that its issuer is" in told["detail"]
    assert () == oidc.ledger()[minted.grant_id].tokens[0].presentations


def test_commands_work_without_any_provider(install: Install) -> None:
    """Only `run`, `login` and `check --live` go out: the others neither wait nor fail."""
    installation = install()
    configure(installation, table(installation, "far", "id", issuer="https://203.0.113.1/t"))
    began = time.monotonic()
    assert "nothing was read of https://203.0.113.1/t yet" in installation.run("check").stdout
    entry = {"id": "far/1", "client": "far", "refresh_token": "planted-refresh-token"}
    installation.command("import", "-", stdin=json.dumps(entry))
    assert "far/1" in installation.command("list")
    assert 'issuer = "https://203.0.113.1/t"' in installation.command("config", "print")
    assert time.monotonic() - began < 20
