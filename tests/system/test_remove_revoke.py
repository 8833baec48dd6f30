"""`remove --revoke` with a real provider: the login is dead there, and the command says what happened."""

from collections.abc import Callable

import pytest

from tests.components.oidc_server import OidcServer
from tests.system.installation import Installation, until

Install = Callable[..., Installation]


@pytest.fixture
def revoking(install: Install, oidc: OidcServer) -> Installation:
    """An installation whose clients know the revocation endpoint."""
    made = install()
    config = made.config.read_text()
    line = f'revocation_endpoint = "{oidc.revocation_endpoint}"'
    made.config.write_text(config.replace('provider = "generic"', f'provider = "generic"\n{line}'))
    return made


def test_the_login_is_dead_at_the_provider(revoking: Installation, oidc: OidcServer) -> None:
    """One credential, then all of a client, while refreshes are under way; those that stay go on living."""
    grants = revoking.log_in("basic", 6)
    others = revoking.log_in("pkce", 4)
    with revoking.daemon() as daemon:
        daemon.wait_for("credential.refreshed", count=10)
        done = revoking.run("remove", "--revoke", "basic/0000")
        assert (0, "1 removed\n", "revoked at the provider\n") == (done.returncode, done.stdout, done.stderr)
        alive = {name: oidc.ledger()[one.grant_id].alive for name, one in grants.items()}
        assert {"basic/0000"} == {name for name, living in alive.items() if not living}
        done = revoking.run("remove", "--revoke", "--client", "basic")
        assert (0, "5 removed\n") == (done.returncode, done.stdout)
        ledger = oidc.ledger()
        assert not any(ledger[one.grant_id].alive for one in grants.values())
        assert all(ledger[one.grant_id].alive for one in others.values())
        assert 6 == daemon.metric("refreshd_revocations_total", client="basic", result="revoked")
        until(
            lambda: daemon.metric("refreshd_revocations_pending", client="basic") == 0, seconds=5, what="none pending"
        )
        assert 6 == len(daemon.events("credential.revoked"))


def test_an_answer_on_its_way_is_caught_too(revoking: Installation, oidc: OidcServer) -> None:
    """Removed in the middle of a slow refresh: the token that arrives afterwards is the one that must die."""
    (grant,) = revoking.log_in("basic", 1).values()
    oidc.latency(3000)
    with revoking.daemon() as daemon:
        until(lambda: oidc.stats().in_flight == 1, seconds=10, what="a refresh in flight")
        done = revoking.run("remove", "--revoke", "basic/0000")
        assert 0 == done.returncode, done.stderr
        assert 1 == len(daemon.events("credential.late_token_to_revoke"))
        assert 2 == len(daemon.events("credential.revoked"))
    ledger = oidc.ledger()[grant.grant_id]
    assert 2 == len(ledger.tokens)
    assert not ledger.alive
    assert 0 == oidc.stats().presented_twice


def test_without_a_daemon_it_is_queued_and_done_later(revoking: Installation, oidc: OidcServer) -> None:
    """Only the daemon talks to providers: the command says so, and exit code 1 says that it is not done."""
    one, two = revoking.log_in("basic", 2).values()
    done = revoking.run("remove", "--revoke", "basic/0000")
    assert (1, "1 removed\n") == (done.returncode, done.stdout)
    assert "the next `refreshd run` does it" in done.stderr
    done = revoking.run("remove", "--revoke", "--wait", "0s", "basic/0001")
    assert (0, "1 removed\n") == (done.returncode, done.stdout)
    assert oidc.ledger()[one.grant_id].alive
    with revoking.daemon() as daemon:
        daemon.wait_for("credential.revoked", count=2)
    assert not any(oidc.ledger()[grant.grant_id].alive for grant in (one, two))


def test_a_provider_that_cannot_revoke_keeps_everything(install: Install) -> None:
    """Refused before anything is removed, with the way out."""
    installation = install()
    installation.log_in("basic", 1)
    done = installation.run("remove", "--revoke", "basic/0000")
    assert (1, "") == (done.returncode, done.stdout)
    assert "has no revocation_endpoint" in done.stderr
    assert "Without --revoke" in done.stderr
    assert ["basic/0000"] == list(installation.views())
    assert 2 == installation.run("remove", "--wait", "1s", "basic/0000").returncode
    installation.command("remove", "basic/0000")


def test_a_refusal_is_told_by_the_command(revoking: Installation) -> None:
    """A wrong address: given up at once, one warning, exit code 1 and the reason."""
    config = revoking.config.read_text()
    revoking.config.write_text(config.replace("/token/revocation", "/nowhere"))
    revoking.log_in("basic", 1)
    with revoking.daemon() as daemon:
        done = revoking.run("remove", "--revoke", "basic/0000")
        assert (1, "1 removed\n") == (done.returncode, done.stdout)
        assert "were not revoked" in done.stderr
        assert 1 == len(daemon.events("credential.revocation_failed"))
