"""`keys rotate` as its operator has it: under load and across kill -9, without a daemon, and where it cannot be done."""

import json
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from refreshd.adapters.key_ring_file import KeyRingFile
from refreshd.adapters.sql.rows import RowCodec
from tests.components.oidc_server import Fault, OidcServer
from tests.system.installation import COMMAND, Daemon, Installation, until

Install = Callable[..., Installation]

LIVE = 200
IDLE = 28_000  # moving them takes longer than the 20 s between two refreshes of one login
"""Rows that are moved but never refreshed, so that the moving takes seconds."""
AHEAD, REPLACED = 500, 3000
"""Each import replaces rows from a little ahead of the mover on, faster than that moves: it is overtaken in mid-batch."""
LEAST_COMMITS = 20
LEAST_OUTRUN = 1


def keys(installation: Installation) -> dict[str, tuple[int, str]]:
    """`keys list` by id: rows and state."""
    found = map(json.loads, installation.command("keys", "list", "--json").splitlines())
    return {one["key_id"]: (one["rows"], one["state"]) for one in found}


def ring(installation: Installation) -> list[str]:
    """The ids in the ring's file, first the primary."""
    lines = (installation.directory / "encryption.key").read_text().splitlines()
    installation.planted |= {line.partition(":")[2] for line in lines if not line.startswith("#")}
    return [line.partition(":")[0] for line in lines if not line.startswith("#")]


def idle(version: int, numbers: range) -> str:
    """Logins with a day to live, as JSON Lines."""
    entries = (
        {
            "id": f"idle/{number:05}",
            "client": "basic",
            "refresh_token": f"idle-refresh-{number}-{version}",
            "access_token": f"idle-access-{number}-{version}",
            "expires_at": time.time() + 86400,
            "scope": "offline_access read",
        }
        for number in numbers
    )
    return "\n".join(map(json.dumps, entries))


@contextmanager
def replacing(installation: Installation) -> Iterator[dict[int, int]]:
    """People who log in again all the while; yields which login each idle row must hold at the end."""
    over = threading.Event()
    newest = dict.fromkeys(range(IDLE), 0)

    def work() -> None:
        for version in range(1, 1000):
            begin = _first_unmoved(installation)
            if over.is_set() or begin is None:
                return
            numbers = range(min(begin + AHEAD, IDLE - 1), min(begin + AHEAD + REPLACED, IDLE))
            installation.command("import", "--replace", "-", stdin=idle(version, numbers))
            newest.update(dict.fromkeys(numbers, version))

    worker = threading.Thread(target=work, name="imports")
    worker.start()
    try:
        yield newest
    finally:
        over.set()
        worker.join(60)


def _first_unmoved(installation: Installation) -> int | None:
    """Where the mover is: the number of the first idle row under another key than the ring's first."""
    query = "SELECT min(id) FROM credential WHERE id LIKE 'idle/%' AND substr(refresh_token, 2, 8) <> ?"
    with closing(sqlite3.connect(f"file:{installation.database}?mode=ro", uri=True)) as view:
        (found,) = view.execute(query, (ring(installation)[0].encode(),)).fetchone()
    return int(found.partition("/")[2]) if found else None


def _unmoved(installation: Installation, old: str) -> int:
    """Idle rows under the old key."""
    query = "SELECT count(*) FROM credential WHERE id LIKE 'idle/%' AND substr(refresh_token, 2, 8) = ?"
    with closing(sqlite3.connect(f"file:{installation.database}?mode=ro", uri=True)) as view:
        (found,) = view.execute(query, (old.encode(),)).fetchone()
    return int(found)


def stored(installation: Installation) -> dict[int, str]:
    """The refresh tokens of the idle rows, opened with what the ring holds now."""
    codec = RowCodec(KeyRingFile(installation.directory / "encryption.key"), "production")
    with closing(sqlite3.connect(f"file:{installation.database}?mode=ro", uri=True)) as view:
        rows = view.execute("SELECT id, refresh_token FROM credential WHERE id LIKE 'idle/%'").fetchall()
    return {int(name.partition("/")[2]): codec.open(blob, "refresh_token", name).reveal() for name, blob in rows}


def refreshed(daemon: Daemon, *, after: str | None = None, before: str | None = None) -> int:
    """Answers stored between two events of the log."""
    names = [json.loads(line)["event"] for line in daemon.text.splitlines() if line.startswith("{")]
    begin = names.index(after) if after else 0
    end = names.index(before) if before else len(names)
    return names[begin:end].count("credential.refreshed")


@pytest.mark.timeout(400)
def test_rotating_under_load_and_kill_9_loses_nothing(install: Install, oidc: OidcServer) -> None:
    """200 logins with 20 s tokens, thousands of rows to move, imports in between, the daemon killed half way.

    The provider hangs for the moment of the kill, so that the one window that no client can close stays shut: every loss
    and every second presentation would be the rotation's.
    """
    installation = install()
    grants = {**installation.log_in("basic", LIVE // 2), **installation.log_in("pkce", LIVE // 2)}
    installation.command("import", "-", stdin=idle(0, range(IDLE)))
    with installation.daemon() as first:
        first.wait_for("credential.refreshed", count=LIVE, seconds=60)
        (old,) = ring(installation)
        rotating = _start(installation, "keys", "rotate", "--wait", "120s")
        first.wait_for("keys.taken_up")
        time.sleep(0.3)
        oidc.fault(Fault(mode="hang"))
        time.sleep(0.3)
        first.kill()
        oidc.fault()
    at_kill = _unmoved(
        installation, old
    )  # not by a command: the next daemon has to come before `keys rotate` takes over
    with installation.daemon() as second, replacing(installation) as newest:
        resealed = second.wait_for("keys.resealed", seconds=200)[0]
        assert 0 == rotating.wait(60)
        progress = _output(installation)
        commits = refreshed(first, after="keys.taken_up") + refreshed(second, before="keys.resealed")
    new = ring(installation)[0]
    print(
        f"killed with {at_kill} rows left; {resealed['moved']} ciphertexts moved afterwards, {commits} answers stored "
        f"meanwhile, {resealed['outrun']} compare-and-sets lost to something newer"
    )
    assert 0 < at_kill < IDLE
    assert commits >= LEAST_COMMITS
    assert resealed["outrun"] >= LEAST_OUTRUN
    assert {old: (0, "removable"), new: (LIVE + IDLE + 1, "primary")} == keys(installation)
    assert "0 rows left under older keys" in progress
    assert f"{old} can be removed from the ring" in progress
    installation.command("keys", "prune")
    assert [new] == ring(installation)
    assert {number: f"idle-refresh-{number}-{version}" for number, version in newest.items()} == stored(installation)
    with installation.daemon() as third:
        seen = len(grants)
        until(
            lambda: len({event["id"] for event in third.events("credential.refreshed")}) == seen,
            seconds=60,
            what="every login refreshed without the old key",
        )
        assert 0 == third.metric("refreshd_encrypted_rows", key_id=new) - (LIVE + IDLE + 1)
        assert [] == third.events("credential.held")
    ledger = oidc.ledger()
    lost = [name for name, grant in grants.items() if not ledger[grant.grant_id].alive]
    assert ([], 0) == (lost, oidc.stats().presented_twice_accepted_check)
    assert {} == dict(oidc.stats().refused)


def test_without_a_daemon_the_command_moves_the_rows(install: Install) -> None:
    """And says so; the old key is removable, kept beside the ring when it is removed, and the store opens without it."""
    installation = install()
    installation.log_in("basic", 120)
    (old,) = ring(installation)
    done = installation.run("keys", "rotate")
    assert 0 == done.returncode, done.stderr
    assert "no daemon runs: moving the rows here" in done.stderr
    new = ring(installation)[0]
    assert {new: (121, "primary"), old: (0, "removable")} == keys(installation)
    done = installation.run("keys", "prune")
    assert (0, f"1 removed: {old}\n") == (done.returncode, done.stdout)
    assert "A copy of the store from before needs it" in done.stderr
    assert old in (installation.directory / "encryption.key.retired").read_text()
    assert 120 == len(installation.views())
    assert "no key can be removed" in installation.run("keys", "prune").stderr


def test_an_interrupted_rotation_goes_on_instead_of_beginning_another(install: Install) -> None:
    """After `--no-wait`, or Ctrl-C, the command run again adds no further key."""
    installation = install()
    installation.log_in("basic", 3)
    (old,) = ring(installation)
    installation.command("keys", "rotate", "--no-wait")
    assert 2 == len(ring(installation))
    assert (4, "in use") == keys(installation)[old]
    assert "no key can be removed" in installation.run("keys", "prune").stderr
    assert "a rotation is under way" in installation.run("keys", "rotate").stderr
    assert 2 == len(ring(installation))
    assert (0, "removable") == keys(installation)[old]


def test_metrics_name_both_keys_and_the_old_one_falls_to_0(install: Install) -> None:
    """What an alert or a dashboard decides by, without a restart and without waiting for the minute's count."""
    installation = install()
    installation.log_in("basic", 5)
    (old,) = ring(installation)
    with installation.daemon() as daemon:
        until(lambda: daemon.metric("refreshd_encrypted_rows", key_id=old) == 6, seconds=10, what="rows counted")
        installation.command("keys", "rotate")
        new = ring(installation)[0]
        until(lambda: daemon.metric("refreshd_encrypted_rows", key_id=old) == 0, seconds=5, what="none under the old")
        assert 6 == daemon.metric("refreshd_encrypted_rows", key_id=new)
        assert [new] == [event["key_id"] for event in daemon.events("keys.taken_up")]


def test_a_daemon_that_cannot_take_up_the_key_is_told_and_no_key_is_lost(install: Install) -> None:
    """Its ring is a copy, as with LoadCredential: the command says to restart it, `prune` refuses, a restart mends it."""
    installation = install()
    installation.log_in("basic", 3)
    copied = installation.directory / "copied"
    copied.mkdir()
    copied.joinpath("encryption.key").write_text((installation.directory / "encryption.key").read_text())
    environ = {"CREDENTIALS_DIRECTORY": str(copied)}
    with Daemon(installation, environ=environ) as daemon:
        done = installation.run("keys", "rotate", "--wait", "3s")
        assert 1 == done.returncode
        assert "LoadCredential" in done.stderr
        assert "does not seal with the key" in installation.run("keys", "prune").stderr
        assert [] == daemon.events("credential.held")
    copied.joinpath("encryption.key").write_text((installation.directory / "encryption.key").read_text())
    with Daemon(installation, environ=environ) as daemon:
        daemon.wait_for("keys.resealed")
    assert ["primary", "removable"] == [state for _, state in keys(installation).values()]


def test_a_ring_in_a_place_that_cannot_be_written_is_left_alone(install: Install) -> None:
    """The steps are named instead, and nothing changes."""
    installation = install()
    installation.log_in("basic", 1)
    before = ring(installation)
    (installation.directory / ".encryption.key.new").mkdir()  # root, as which tests run, writes into any directory
    done = installation.run("keys", "rotate")
    assert 1 == done.returncode
    assert "restart the daemon" in done.stderr
    assert before == ring(installation)


def _start(installation: Installation, *arguments: str) -> subprocess.Popen[str]:
    """A command that runs beside; its output goes into files, so that it never waits for us."""
    out = (installation.directory / "beside.out").open("w")
    with out:
        return subprocess.Popen(
            [COMMAND, "--config", str(installation.config), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _output(installation: Installation) -> str:
    text = Path(installation.directory / "beside.out").read_text()
    installation.output.append(text)
    return text
