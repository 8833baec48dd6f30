"""The README's way from nothing to a token, and its examples, run as they stand against real servers."""

import os
import pty
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from refreshd.domain.credential import Reason, Status
from tests.components.oidc_server import SECRETS, OidcServer
from tests.components.redis_server import RedisServer
from tests.system.examples import PREPARE, Api, Unavailable, exercise
from tests.system.installation import COMMAND, write_private

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = {"bash": "read_token.sh", "python": "read_token.py", "js": "read_token.mjs", "go": "go/main.go"}
SECRET = SECRETS["conf"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def environ(tmp_path: Path, oidc: OidcServer, redis_server: RedisServer) -> dict[str, str]:
    """A home of its own, in which the authorization server stands for Frame.io and `redis-cli` finds the test's Redis."""
    shim = tmp_path / "bin" / "redis-cli"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shutil.which("redis-cli")} -p {redis_server.port} "$@"\n')
    shim.chmod(stat.S_IRWXU)
    write_private(tmp_path / "secret.txt", SECRET)
    return {
        "PATH": f"{shim.parent}:{COMMAND.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "REDIS_URL": redis_server.url,
        "REFRESHD_CONFIG": str(tmp_path / "config/config.toml"),  # root's own place would be /etc/refreshd
        "REFRESHD_REDIS__URL": redis_server.url,
        "REFRESHD_HTTP__LISTEN": "127.0.0.1:0",
        "REFRESHD_CLIENTS__FRAMEIO__TOKEN_ENDPOINT": oidc.token_endpoint,
    }


def shell(script: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        cwd=environ["HOME"],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
    )


@pytest.mark.parametrize("language", EXAMPLES)
def test_the_examples_shown_are_the_files(language: str) -> None:
    """Who copies from the README gets what is tested."""
    file = (ROOT / "docs/examples" / EXAMPLES[language]).read_text()
    assert [True] == [block in file for block in blocks(language)]


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_every_file_that_a_page_links_to_exists(page: str) -> None:
    """No link leads nowhere."""
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", (ROOT / page).read_text())
    assert [] == [link for link in links if not ((ROOT / page).parent / link).exists()]


def test_operations_names_every_status_and_reason() -> None:
    """An operator finds whatever the status hash can say."""
    page = (ROOT / "docs/operations.md").read_text()
    shown = [status for status in Status if status is not Status.REMOVED]
    assert [] == [code.value for code in (*shown, *Reason) if f"`{code.value}`" not in page]


@pytest.mark.timeout(90)
def test_ten_minutes_from_nothing_to_a_token(
    environ: dict[str, str], oidc: OidcServer, redis_server: RedisServer
) -> None:
    """Every shell block in order; the install block only by the files it names, as this environment is installed already.

    `redis-cli` prints the current token, and the provider accepts it from the shell example.
    """
    home = Path(environ["HOME"])
    install, configure, *rest = blocks("sh")
    locks = re.findall(r"deploy/\S+\.txt", install)
    assert [True] == [(ROOT / lock).exists() for lock in locks]
    assert configure.startswith("refreshd init\n")
    unattended = configure.replace("refreshd init\n", "refreshd init --client-id conf < secret.txt\n")
    [login] = oidc.mint("conf", 1, scope="openid offline read")
    (home / "callback.json").write_text(
        f'{{"refresh_token": "{login.refresh_token}", "scope": "openid offline read", "expires_in": 3600}}'
    )
    began = time.monotonic()
    done = shell("\n".join(["set -emu", unattended, *rest]), environ)
    took = time.monotonic() - began
    log = home / "refreshd.log"
    assert 0 == done.returncode, done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    token = redis_server.client().hget("refreshd:token:acme/1", "access_token")
    print(f"the README's path took {took:.1f} s")
    assert token
    assert token in done.stdout.splitlines()
    assert not (home / "callback.json").exists()
    assert '"event":"daemon.stopped"' in log.read_text()
    called = shell(f"sh {ROOT}/docs/examples/read_token.sh acme/1 {oidc.userinfo_endpoint}", environ)
    assert (0, "200") == (called.returncode, called.stdout.split()[-1]), called.stdout + called.stderr
    assert not {SECRET, login.refresh_token} & set(re.split(r'[\s"]+', done.stdout + done.stderr + log.read_text()))


@pytest.mark.parametrize("form", re.findall(r"`(refreshd init --client-id [^`]+)`", README))
def test_init_where_nobody_can_be_asked(environ: dict[str, str], form: str) -> None:
    """The forms that the README names beside the conversation write a configuration that loads."""
    done = shell(form.replace("YOUR-CLIENT-ID", "conf"), environ)
    assert 0 == done.returncode, done.stderr
    config = Path(done.stdout.strip())
    assert 'client_id = "conf"' in config.read_text()
    assert ("--pkce" not in form) == ("client_secret_file" in config.read_text())
    assert 0 == shell("refreshd check", environ).returncode


def test_init_asks_and_hides_the_secret(environ: dict[str, str]) -> None:
    """On a terminal: two questions, the second without an echo; secret and key ring are their owner's alone."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            ["refreshd", "init"], env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        said = _until(ours, "client id: ")
        os.write(ours, b"conf\n")
        said += _until(ours, "client secret: ")
        os.write(ours, f"{SECRET}\n".encode())
        said += "".join(_read(ours))
        assert 0 == process.wait(20), said
    finally:
        os.close(ours)
    directory = Path(environ["REFRESHD_CONFIG"]).parent
    assert SECRET not in said
    assert SECRET == (directory / "frameio.secret").read_text().strip()
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


@pytest.mark.timeout(120)
def test_the_examples_wait_for_a_newer_token_and_give_up_after_ten_seconds(
    environ: dict[str, str], tmp_path: Path, redis_server: RedisServer
) -> None:
    """All languages at once. One that cannot be had here is named as the reason of a skip, after the others have passed."""
    missing: list[str] = []
    running = {}
    with Api() as api:
        for language, prepare in PREPARE.items():
            running[language] = exercise(
                language, prepare, api=api, redis=redis_server.client(), environ=environ, scratch=tmp_path
            )
        for language, future in running.items():
            try:
                future.result(100)
            except Unavailable as exc:
                missing.append(f"{language}: {exc}")
    if missing:
        pytest.skip("; ".join(missing))


def _until(terminal: int, prompt: str) -> str:
    said = ""
    for text in _read(terminal):
        said += text
        if said.endswith(prompt):
            return said
    raise AssertionError(f"no {prompt!r} in {said!r}")


def _read(terminal: int) -> Iterator[str]:
    while True:
        try:
            yield os.read(terminal, 4096).decode()
        except OSError:  # EIO: the other side has ended
            return
