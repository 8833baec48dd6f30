"""The house rules that no other tool checks: locks, addresses, the Makefile's own help."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "deploy" / "requirements").glob("*.txt"))
NPM_LOCKS = sorted((ROOT / "tests" / "components").glob("*/package-lock.json"))

INSTALLERS = re.compile(rb"index-url|find-links|npm_config_registry|[\"']?registry[\"']?\s*[=:]\s*[\"']?https?:")
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def requirements(lock: Path) -> Iterator[str]:
    """Each requirement of a lock on one line, its hashes included."""
    joined = lock.read_text().replace("\\\n", " ")
    return (line for line in joined.splitlines() if line.strip() and not line.startswith("#"))


@cache
def committed() -> tuple[Path, ...]:
    """Every file that is tracked by git, or would be with the next `git add`."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return tuple(ROOT / name for name in listing.stdout.split("\0") if name)


def configured_hosts() -> set[str]:
    """The package index hosts that this machine is set up to use: the ones most likely to slip into a file."""
    pip = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, check=True, text=True)
    settings = [
        pip.stdout,
        *(value for name, value in os.environ.items() if re.match(r"(?i)pip_|uv_|npm_config_", name)),
    ]
    urls = re.findall(r"https?://[^\s'\",]+", "\n".join(settings))
    return {host for url in urls if (host := urlsplit(url).hostname)} - LOOPBACK


def test_there_are_locks_to_check() -> None:
    """The rules below hold for something."""
    assert {"bench.txt", "demo.txt", "dev.txt", "postgres.txt", "runtime.txt"} == {lock.name for lock in LOCKS}
    assert NPM_LOCKS


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_with_its_hashes_and_no_address(lock: Path) -> None:
    """What is installed is what was locked, from whichever index the machine uses."""
    loose = [
        line
        for line in requirements(lock)
        if not re.match(r"[a-z0-9][a-z0-9.-]*(\[[a-z,]+\])?==\S+ ", line) or " --hash=sha256:" not in line
    ]
    assert loose == []
    assert not re.search(r"://|http:|https:|--(extra-)?index-url|--find-links", lock.read_text())


def test_smaller_locks_agree_with_larger_ones() -> None:
    """What the suite tested is what runs: a package has one version in all locks; only the bench has some of its own."""
    dev = {line.split("==")[0]: line for line in requirements(ROOT / "deploy/requirements/dev.txt")}
    for lock in LOCKS:
        own = lock.name == "bench.txt"  # what is measured beside the daemon
        differing = [line for line in requirements(lock) if dev.get(line.split("==")[0], line if own else None) != line]
        assert differing == [], lock.name


@pytest.mark.parametrize("lock", NPM_LOCKS, ids=lambda lock: lock.parent.name)
def test_every_npm_package_is_locked_by_integrity_and_no_address(lock: Path) -> None:
    """The locks of npm follow the same rule, thanks to the .npmrc beside each."""
    packages = {name: entry for name, entry in json.loads(lock.read_text())["packages"].items() if name}
    assert packages
    assert [name for name, entry in packages.items() if "integrity" not in entry or "resolved" in entry] == []
    assert (lock.parent / ".npmrc").read_text() == (ROOT / ".npmrc").read_text()


def test_no_committed_file_names_a_registry_host() -> None:
    """Where packages come from is the machine's affair: no host it is set up with, no option that names one, is cloned."""
    hosts = [host.encode() for host in configured_hosts()]
    naming = []
    for path in committed():
        if path == Path(__file__):
            continue
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # deleted, or a submodule's place
            content = path.read_bytes().lower()
            found = [*(host for host in hosts if host in content), *INSTALLERS.findall(content)]
            naming += [f"{path.relative_to(ROOT)}: {one.decode()}" for one in found]
    assert naming == []


def test_help_lists_every_target_of_the_makefile() -> None:
    """A target that help does not show does not exist for a newcomer."""
    makefile = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE))
    shown = subprocess.run(["make", "--silent", "-C", str(ROOT)], capture_output=True, check=True, text=True).stdout
    assert set(phony.split()) == targets
    assert {line.split()[1] for line in shown.splitlines()} == targets
    assert all(len(line.split()) > 3 for line in shown.splitlines())
