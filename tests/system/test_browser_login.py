"""The login as people do it: from `init` on, in Chromium, which `refreshd login` opens itself."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.components.oidc_server import OidcServer, node
from tests.components.redis_server import RedisServer
from tests.system.installation import Daemon, Installation, until
from tests.system.login_site import fresh, oidc_process, redirect_uri
from tests.system.logins import LoginProcess

SCRIPT = Path(__file__).parents[1] / "components/browser/log_in.mjs"
FIXTURES = (oidc_process, redirect_uri)
"""pytest finds a module's fixtures by their names."""
ID = "acme/1"
DONE = "Done\n\nThe login is stored. You may close this window."


class Chromium:
    """What $BROWSER names: a person called `name` at a real browser, and what the last page said."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        script, self._seen, self._errors = folder / "browser", folder / "seen.json", folder / "errors"
        self._errors.touch()
        walk = f'{node()} {SCRIPT} {name} "$1" > {self._seen}.new 2> {self._errors}'
        script.write_text(f"#!/bin/sh\n{walk} && mv {self._seen}.new {self._seen}\n")
        script.chmod(stat.S_IRWXU)
        self.environ = {"BROWSER": f"{script} %s"}

    def seen(self) -> dict[str, Any]:
        until(lambda: self._seen.exists() or self._errors.read_text(), seconds=60, what="a last page")
        assert "" == self._errors.read_text()
        found: dict[str, Any] = json.loads(self._seen.read_text())
        return found


def log_in(site: Installation, browser: Chromium, *, code: int = 0) -> tuple[dict[str, Any], LoginProcess]:
    """The last page and the ended process."""
    with LoginProcess(site, ID, "--client", "frameio", environ=browser.environ) as login:
        page = browser.seen()
        assert page["url"].startswith(login.redirect_uri), page["text"]
        login.ends(code)
    return page, login


def shown(redis: Redis) -> tuple[Any, Any, bool]:
    """Access token, status, and whether the id is among those that need a person."""
    return (
        redis.hget(f"refreshd:token:{ID}", "access_token"),
        redis.hget(f"refreshd:status:{ID}", "status"),
        redis.zscore("refreshd:relogin", ID) is not None,
    )


def revoke_everything(oidc: OidcServer) -> None:
    for grant in oidc.ledger():
        oidc.revoke_grant(grant)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("client_id", ["conf", "pub"])
def test_the_whole_way_in_and_back_in(
    tmp_path: Path, oidc: OidcServer, redis_server: RedisServer, redirect_uri: str, client_id: str
) -> None:
    """init, login, run, token; revoked, login required; another person refused; login again: token within 2 s, flags gone."""
    redis = redis_server.client()
    site = fresh(tmp_path / "site", oidc, redis_server.url, redirect_uri, client_id=client_id)
    page, login = log_in(site, Chromium(tmp_path / "first", "alice"))
    assert (DONE, f"{ID} logged in as alice\n") == (page["text"], login.out)
    assert {oidc.url, login.redirect_uri.removesuffix("/callback")} <= set(page["requests"])
    with site.daemon() as daemon:
        until(lambda: shown(redis)[0], seconds=5, what="a token in Redis")
        first = shown(redis)[0]
        revoke_everything(oidc)
        _until_relogin_is_required(site, redis, daemon)

        page, refused = log_in(site, Chromium(tmp_path / "other", "bob"), code=1)
        assert "Not logged in" in page["text"]
        assert "'alice'" in refused.err
        assert "'bob'" in refused.err
        assert "the stored login is untouched and the daemon revokes the new tokens" in refused.err
        assert (None, "relogin_required", True) == shown(redis)

        page, again = log_in(site, Chromium(tmp_path / "again", "alice"))
        took = until(lambda: shown(redis)[1:] == ("active", False), seconds=2, what="flags gone")
        print(f"{client_id}: {took:.2f} s from the end of the login to a token in Redis")
        assert (DONE, f"{ID} logged in as alice\n") == (page["text"], again.out)
        second = shown(redis)[0]
        assert second not in {None, first}
        assert int(redis.hget(f"refreshd:token:{ID}", "generation") or 0) >= 2  # its first refresh comes after 14 s
        assert 0 == daemon.terminate()
    site.planted |= {token for token in (first, second) if token}
    assert set() == site.leaks()


def _until_relogin_is_required(site: Installation, redis: Redis, daemon: Daemon) -> None:
    """The refusal is confirmed 45 s later, before anybody is called."""
    site.command("refresh", ID, expect=1)
    daemon.wait_for("credential.relogin_required", seconds=90)
    until(lambda: shown(redis) == (None, "relogin_required", True), seconds=5, what="the token withdrawn, the flag set")
