"""Bad input gets one clear reason, the right exit code, and leaves nothing half done."""

import json
import subprocess
from collections.abc import Callable

import pytest

from refreshd import __version__
from tests.system.installation import COMMAND, Installation

Install = Callable[..., Installation]

GOOD = {"refresh_token": "rt-good-0123456789", "scope": "offline read"}


@pytest.mark.parametrize(
    ("stdin", "arguments", "reason"),
    [
        ('{"access_token": "x", "expires_in": 3600}', ("--id", "a", "--client", "basic"), "scope was not granted"),
        (json.dumps(GOOD), ("--client", "basic"), "no id"),
        (json.dumps(GOOD), ("--id", "../x", "--client", "basic"), "is not allowed"),
        (json.dumps(GOOD), ("--id", "x" * 129, "--client", "basic"), "is not allowed"),
        (json.dumps(GOOD), ("--id", "a", "--client", "nobody"), "no client 'nobody' is configured"),
        ('{"id": "a", "client": "basic", "refresh_token": "r1"}\n{oops\n', (), "line 2: invalid JSON"),
        ('{"a": "' + "x" * 70_000 + '"}', (), "longer than 64 KiB"),
        ("[1]", (), "entry 1: expected a JSON object"),
        ("", (), "the file is empty"),
        (
            '{"id":"a","client":"basic","refresh_token":"1"}\n{"id":"b","client":"basic","refresh_token":"2","scope":"\\u0000"}',
            (),
            "line 2: scope holds a control character",
        ),
        (
            json.dumps({**GOOD, "access_token": "abc\r\nX-Evil: 1", "expires_at": 4102444800}),
            ("--id", "a", "--client", "basic"),
            "access_token holds a control character",
        ),
        (
            '{"id":"a","client":"basic","refresh_token":"r1"}\n{"id":"a","client":"basic","refresh_token":"r2"}',
            (),
            "the same id stands in entry 1",
        ),
    ],
)
def test_a_faulty_import_writes_nothing(install: Install, stdin: str, arguments: tuple[str, ...], reason: str) -> None:
    """Exit 1, the reason with its line, no row, no traceback."""
    installation = install()
    done = installation.run("import", "-", *arguments, stdin=stdin)
    assert (1, True) == (done.returncode, reason in done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert "" == installation.run("list", "--json").stdout


def test_every_fault_of_a_configuration_is_told_at_once(install: Install) -> None:
    """Exit 2, one line each with its place, no traceback."""
    installation = install()
    installation.config.write_text('bogus = 1\n[scheduler]\nscan_interval = "fast"\nconcurrency = "many"\n')
    done = installation.run("check")
    assert 2 == done.returncode
    for place in ("bogus", "scheduler.scan_interval", "scheduler.concurrency"):
        assert place in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_redis_is_told_by_check_and_does_not_stop_the_daemon(install: Install) -> None:
    """`check` fails with the remedy; `run` refreshes all the same."""
    installation = install()
    installation.log_in("basic", 2)
    installation.redis_url = "redis://127.0.0.1:1/0"
    installation.write_config()
    done = installation.run("check")
    assert (1, True) == (done.returncode, "Redis cannot be reached" in done.stderr)
    with installation.daemon() as daemon:
        daemon.wait_for("credential.refreshed", count=2)


def test_a_known_refresh_token_is_unchanged_or_refused(install: Install) -> None:
    """The same file again is fine; the same token under another id is not."""
    installation = install()
    login = json.dumps({"id": "a", "client": "basic", **GOOD})
    installation.command("import", "-", stdin=login)
    assert "1 unchanged" in installation.command("import", "-", stdin=login)
    other = installation.run("import", "-", stdin=json.dumps({"id": "b", "client": "basic", **GOOD}))
    assert (1, True) == (other.returncode, "already belongs to a" in other.stderr)


def test_wrong_usage_is_exit_2(install: Install) -> None:
    """Usage faults are told apart from failures."""
    installation = install()
    for arguments in (("pause",), ("list", "--status", "odd"), ("nonsense",), ("token", "a", "--wait", "soon")):
        assert 2 == installation.run(*arguments).returncode, arguments


def test_the_version_is_told_without_a_command_or_a_configuration() -> None:
    """What a bug report begins with."""
    done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, timeout=20, check=False)
    assert (0, f"{__version__}\n") == (done.returncode, done.stdout)
