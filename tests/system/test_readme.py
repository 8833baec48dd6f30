"""The README's way from nothing to a token, run as it stands against real servers."""

import os
import re
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.components.oidc_server import SECRETS, OidcServer
from tests.components.redis_server import RedisServer
from tests.system.installation import COMMAND, write_private

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = {"bash": "read_token.sh", "python": "read_token.py", "js": "read_token.mjs", "go": "go/main.go"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("language", EXAMPLES)
def test_the_examples_shown_are_the_files(language: str) -> None:
    """Who copies from the README gets what is tested."""
    file = (ROOT / "docs/examples" / EXAMPLES[language]).read_text()
    assert [True] == [block in file for block in blocks(language)]


def test_every_page_the_readme_names_exists() -> None:
    """No link leads nowhere."""
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", README)
    assert len(links) > 8
    assert [] == [link for link in links if not (ROOT / link).exists()]


@pytest.mark.timeout(90)
def test_ten_minutes_from_nothing_to_a_token(tmp_path: Path, oidc: OidcServer, redis_server: RedisServer) -> None:
    """Every shell block in order; the install block only by what it names, as this environment is installed already.

    The real authorization server stands for Frame.io through the environment, and `redis-cli` is pointed at the test's Redis.
    """
    install, configure, *rest = blocks("sh")
    for path in re.findall(r"deploy/\S+\.txt", install):
        assert (ROOT / path).exists()
    assert configure.startswith("refreshd init\n")
    [login] = oidc.mint("conf", 1, scope="offline read")
    write_private(tmp_path / "secret.txt", SECRETS["conf"])
    (tmp_path / "callback.json").write_text(f'{{"refresh_token": "{login.refresh_token}", "scope": "offline read"}}')
    shim = tmp_path / "bin" / "redis-cli"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec /usr/bin/redis-cli -p {redis_server.port} "$@"\n')
    shim.chmod(stat.S_IRWXU)
    unattended = configure.replace("refreshd init\n", "refreshd init --client-id conf < secret.txt\n")
    script = "\n".join(["set -emu", unattended, *rest])
    environ = {
        "PATH": f"{shim.parent}:{COMMAND.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "REFRESHD_CONFIG": str(tmp_path / "config/config.toml"),
        "STATE_DIRECTORY": str(tmp_path / "state"),
        "REFRESHD_REDIS__URL": redis_server.url,
        "REFRESHD_HTTP__LISTEN": "127.0.0.1:0",
        "REFRESHD_CLIENTS__FRAMEIO__TOKEN_ENDPOINT": oidc.token_endpoint,
        "REFRESHD_CLIENTS__FRAMEIO__SCOPE": "offline read",
    }
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=80, check=False
    )
    log = tmp_path / "refreshd.log"
    assert 0 == done.returncode, done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    token = str(redis_server.client().hget("refreshd:token:acme/1", "access_token") or "")
    print(f"the README's path took {time.monotonic() - began:.1f} s")
    assert token
    assert token in done.stdout
    assert not (tmp_path / "callback.json").exists()
    assert '"event":"daemon.stopped"' in log.read_text()


def test_the_python_and_shell_examples_are_well_formed() -> None:
    """Python compiles; the shell one is checked by the shell's own reader."""
    for language, file in (("bash", "read_token.sh"), ("python", "read_token.py")):
        path = ROOT / "docs/examples" / file
        if language == "bash":
            subprocess.run(["sh", "-n", str(path)], check=True, timeout=10)
        else:
            compile(path.read_text(), str(path), "exec")
