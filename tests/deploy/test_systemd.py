"""The systemd files are valid, agree with each other, with the documented configuration and with the drain."""

import re
import shutil
import subprocess
import tomllib
from configparser import ConfigParser
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.aesgcm_sealer import new_key_line
from refreshd.config import load

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "deploy" / "systemd"
UNIT = SYSTEMD / "refreshd.service"
CLIENTS = SYSTEMD / "clients.conf"
SYSUSERS = SYSTEMD / "refreshd.sysusers.conf"
GUIDE = ROOT / "docs" / "deployment.md"


def test_systemd_accepts_every_line_of_the_unit_and_its_drop_in(tmp_path: Path) -> None:
    """A misspelt key would be ignored at run time, and with it whatever it protects."""
    # /opt/refreshd does not exist on a test machine and systemd-analyze insists on an executable: only that path is replaced.
    program = _service(UNIT)["ExecStart"].split()[0]
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(program, _tool("true")))
    drop_in = tmp_path / f"{UNIT.name}.d" / CLIENTS.name
    drop_in.parent.mkdir()
    shutil.copy(CLIENTS, drop_in)
    # Without --recursive-errors systemd-analyze prints its complaints and exits 0.
    verified = _run(_tool("systemd-analyze"), "verify", "--recursive-errors=yes", "--man=no", str(unit))
    assert (verified.returncode, verified.stdout) == (0, "")


def test_hardening_does_not_slip() -> None:
    """Exposure, as systemd counts it, stays at or below 3.5 of 10."""
    rated = _run(_tool("systemd-analyze"), "security", "--no-pager", "--offline=true", "--threshold=35", str(UNIT))
    assert rated.returncode == 0, rated.stdout


def test_the_account_can_be_created(tmp_path: Path) -> None:
    """The unit's user and group come from the sysusers file; without them the unit fails with 217/USER."""
    (tmp_path / "etc").mkdir()
    planned = _run(_tool("systemd-sysusers"), "--dry-run", f"--root={tmp_path}", str(SYSUSERS))
    assert planned.returncode == 0, planned.stdout
    assert f"Creating user '{_service(UNIT)['User']}'" in planned.stdout
    assert f"Creating group '{_service(UNIT)['Group']}'" in planned.stdout


def test_a_drain_ends_before_systemd_kills(tmp_path: Path) -> None:
    """A request that was sent has time to be answered and stored, and the daemon to end, before SIGKILL."""
    (tmp_path / "encryption.key").write_text(new_key_line())
    (tmp_path / "frameio.secret").write_text("a-client-secret")
    for secret in tmp_path.iterdir():
        secret.chmod(0o600)
    config = tmp_path / "config.toml"
    config.write_text(_documented_config())
    scheduler = load(config, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}, cwd=tmp_path).settings.scheduler
    kill_after = timedelta(seconds=int(_service(UNIT)["TimeoutStopSec"]))
    assert scheduler.request_timeout + scheduler.commit_timeout < scheduler.drain_timeout < kill_after


def test_the_unit_loads_exactly_the_secrets_that_the_documented_configuration_names() -> None:
    """A relative name in the configuration is the credential's name in the unit, and the file's name for commands outside it."""
    loaded = [_service(file)["LoadCredential"].split(":") for file in (UNIT, CLIENTS)]
    config = tomllib.loads(_documented_config())
    named = [config["store"]["encryption_key_file"], config["clients"]["frameio"]["client_secret_file"]]
    assert [name for name, _ in loaded] == named
    assert [path for _, path in loaded] == [f"/etc/refreshd/{name}" for name in named]


def test_commands_outside_the_unit_find_its_store() -> None:
    """Only the unit has $STATE_DIRECTORY, so the documented configuration spells the same directory out."""
    directory = f"/var/lib/{_service(UNIT)['StateDirectory']}"
    assert tomllib.loads(_documented_config())["store"]["url"] == f"sqlite:///{directory}/refreshd.db"
    assert SYSUSERS.read_text().split()[-1] == directory


def _service(file: Path) -> dict[str, str]:
    parser = ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep the case of keys
    parser.read_string(file.read_text())
    return dict(parser["Service"])


def _documented_config() -> str:
    blocks: list[str] = re.findall(r"^ *```toml\n(.*?)^ *```$", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    return blocks[0]


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine")
    return found


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
