"""config.example.toml shows every key with its default, and loads as it is."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

from refreshd.config import effective, load
from refreshd.config.settings import CLIENT_KEYS, SECTIONS
from tests.integration.certificates import self_signed
from tests.unit.config.configurations import loaded, write

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"
STATE = {"STATE_DIRECTORY": "/var/lib/refreshd"}

_OPTIONAL = re.compile(r"^# (?=[a-z_]+ = )", flags=re.MULTILINE)
_KEY = re.compile(r"(# )?[a-z_]+ = ")


def uncommented() -> str:
    """The example with its optional keys in force."""
    return _OPTIONAL.sub("", EXAMPLE.read_text())


def table(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def test_the_example_loads_as_it_is(tmp_path: Path) -> None:
    """On a machine without any secret, and with nothing to warn of."""
    result = load(EXAMPLE, environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    assert ((), ["frameio"]) == (result.warnings, list(result.settings.clients))


def test_the_example_shows_every_key() -> None:
    """A new key that is not shown there does not exist for its users."""
    values = tomllib.loads(uncommented())
    assert {"environment", "clients", *SECTIONS} == values.keys()
    for section, model in SECTIONS.items():
        assert model.model_fields.keys() == values[section].keys()
    shown = {"client_secret" if key == "client_secret_file" else key for key in values["clients"]["frameio"]}
    assert CLIENT_KEYS == shown


def test_the_example_is_the_default(tmp_path: Path) -> None:
    """As it is, and with every optional key in force: who starts from it changes nothing by that."""
    write(tmp_path, "s3cret", name="frameio.secret")
    write(tmp_path, self_signed(tmp_path)[1].read_text(), name="ca.pem")
    everything = uncommented().replace("/etc/refreshd/provider-ca.pem", str(tmp_path / "ca.pem"))
    default = effective(loaded(tmp_path, '[clients.frameio]\nclient_id = "REPLACE-ME"', STATE).settings)
    as_it_is = effective(loaded(tmp_path, EXAMPLE.read_text(), STATE).settings)
    in_force = effective(loaded(tmp_path, everything, STATE).settings)
    assert default == as_it_is
    frameio = table(table(in_force["clients"])["frameio"])
    assert ("***", str(tmp_path / "ca.pem")) == (frameio["client_secret"], frameio["ca_file"])
    assert default == in_force | {"clients": {"frameio": frameio | {"client_secret": None, "ca_file": None}}}


def test_each_key_of_the_example_is_explained() -> None:
    """One line of plain words right above it."""
    lines = EXAMPLE.read_text().splitlines()
    bare = [line for above, line in pairwise(lines) if _KEY.match(line) and not _is_comment(above)]
    assert [] == bare


def _is_comment(line: str) -> bool:
    return line.startswith("# ") and not _KEY.match(line)
