"""`config print`: the configuration in force, complete, without secrets, in the notation of the file."""

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from refreshd.config import effective, to_toml
from refreshd.config.settings import CLIENT_KEYS, SECTIONS, Settings
from tests.unit.config.configurations import CLIENT, loaded


def printed(settings: Settings) -> dict[str, object]:
    return tomllib.loads(to_toml(effective(settings)))


def test_every_key_is_there(tmp_path: Path) -> None:
    """Defaults included; the provider's keys stand in the client's table, as they may be written there."""
    values = effective(loaded(tmp_path, CLIENT).settings)
    assert {"environment", "clients", *SECTIONS} == values.keys()
    for section, model in SECTIONS.items():
        assert model.model_fields.keys() == _table(values[section]).keys()
    assert CLIENT_KEYS == _table(_table(values["clients"])["acme"]).keys()


def test_what_is_printed_loads_as_the_same_configuration(tmp_path: Path) -> None:
    """Durations, rates, shares, lists and addresses are written as they are read."""
    text = (
        '[scheduler]\nscan_interval = "1500ms"\nspread = "12.5%"\nsettle_delay = "0s"\n[http]\nlisten = "[::1]:0"\n'
        '[relogin]\nwarn_before = []\n[log]\nsuccesses = false\n'
        f'{CLIENT}max_rate = "90/m"\nscope = "offline \\"quoted\\" ä"\nrefresh_token_lifetime = "none"\n'
        'client_auth = "none"\nrejection_codes = ["a", "b"]\n[clients.beta]\nclient_id = "b"\nprovider = "frameio-v4"\n'
    )  # fmt: skip
    settings = loaded(tmp_path, text).settings
    assert settings == loaded(tmp_path, to_toml(effective(settings))).settings


def test_no_secret_is_printed(tmp_path: Path) -> None:
    """Neither as a value nor inside a URL; what is no secret stays readable."""
    text = (
        '[redis]\nurl = "redis://:hunter2@127.0.0.1:6379/0"\n[store]\nurl = "postgresql+psycopg://user:hunter3@db/refreshd"\n'
        f'{CLIENT}client_secret = "hunter4"\nproxy = "http://user:hunter5@proxy:3128"\n'
    )
    settings = loaded(tmp_path, text).settings
    assert "hunter" not in to_toml(effective(settings))
    values = printed(settings)
    acme = _table(_table(values["clients"])["acme"])
    assert _table(values["redis"])["url"] == "redis://:***@127.0.0.1:6379/0"
    assert _table(values["store"])["url"] == "postgresql+psycopg://user:***@db/refreshd"
    assert ("***", "http://user:***@proxy:3128") == (acme["client_secret"], acme["proxy"])


def test_a_key_that_is_not_set_is_a_comment(tmp_path: Path) -> None:
    """TOML has no null, and an empty secret would be another thing."""
    assert "\n# client_secret is not set\n" in to_toml(effective(loaded(tmp_path, CLIENT).settings))


LEAVES = st.one_of(
    st.booleans(), st.integers(-(2**53), 2**53), st.text(), st.floats(allow_nan=False, allow_infinity=False)
)
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TABLES = st.recursive(
    st.dictionaries(KEYS, LEAVES | st.lists(LEAVES), min_size=1),
    lambda inner: st.dictionaries(KEYS, LEAVES | inner, min_size=1),
    max_leaves=12,
)


@given(TABLES)
def test_the_writers_toml_reads_back(values: dict[str, object]) -> None:
    """Whatever stands in a string, a control character included."""
    assert values == tomllib.loads(to_toml(values))


def _table(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value
