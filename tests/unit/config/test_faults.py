"""What people are told when their configuration cannot be used: everything, at once, in their words, without their secrets."""

import json
from pathlib import Path

import pytest

from refreshd.config import ConfigurationError, load
from tests.unit.config.configurations import CLIENT, client, faults, loaded, only_fault, write

SECRETS = ("hunter2", "hunter3", "hunter4", "hunter5")
BROKEN = """\
environmnt = "x"
environment = "two words"
concurrency = 5
[scheduler]
scan_interval = 5
spread = "60%"
concurency = 3
drain_timeout = "1m"
[store]
encryption_key = "hunter2"
url = "sqlite:///relative.db"
[redis]
url = "redis://:hunter3@127.0.0.1:port/0"
key_prefix = "{slot}"
[reddis]
url = "redis://h"
[relogin]
warn_before = "7d"
[http]
listen = "::1:9847"
[log]
format = "xml"
level = "loud"
[clients.Acme]
client_id = "x"
[clients.acme]
client_secret = "hunter4\\n"
max_rate = 10
max_in_flight = 0
[clients.beta]
provider = "generic"
client_id = "b"
client_auth = "client_secret_post"
client_secret_fil = "hunter5"
proxy = "socks5://proxy"
userinfo_endpoint = "http://login.example/me"
refresh_token_lifetime_from = "birth"
access_token_lifetime = "8m"
[clients.gamma]
provider = "frameio-v3"
client_id = "c"
"""
FAULTY = [
    "clients.Acme",
    "clients.acme.client_id",
    "clients.acme.client_secret",
    "clients.acme.max_in_flight",
    "clients.acme.max_rate",
    "clients.beta.access_token_lifetime",
    "clients.beta.client_secret",
    "clients.beta.client_secret_fil",
    "clients.beta.proxy",
    "clients.beta.refresh_token_lifetime_from",
    "clients.beta.token_endpoint",
    "clients.beta.userinfo_endpoint",
    "clients.gamma.provider",
    "concurrency",
    "environment",
    "environmnt",
    "http.listen",
    "log.format",
    "log.level",
    "reddis",
    "redis.key_prefix",
    "redis.url",
    "relogin.warn_before",
    "scheduler.concurency",
    "scheduler.drain_timeout",
    "scheduler.scan_interval",
    "scheduler.spread",
    "store.encryption_key",
    "store.url",
]


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """In all tables, of every kind, rules between keys included: one round of mending is enough."""
    assert FAULTY == [fault.path for fault in faults(tmp_path, BROKEN)]


def test_no_fault_shows_a_secret_or_a_librarys_words(tmp_path: Path) -> None:
    """Faults are pasted into tickets, and read by people who never heard of our libraries."""
    text = "\n".join(map(str, faults(tmp_path, BROKEN)))
    assert [] == [word for word in (*SECRETS, "pydantic", "validation", "type=", "Input", "Traceback") if word in text]


def test_each_fault_has_path_value_type_and_remedy(tmp_path: Path) -> None:
    """All that is needed to mend it."""
    (fault,) = faults(tmp_path, CLIENT + 'max_rate = "ten"')
    assert ("clients.acme.max_rate", '"ten"', "a string") == (fault.path, fault.value, fault.kind)
    assert fault.message == 'must be a rate above 0 per second, minute or hour, such as "10/s" or "600/m"'
    assert str(fault) == f'clients.acme.max_rate = "ten" (a string): {fault.message}'


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("7", "environment = 7 (a whole number): "),
        ("7.5", "environment = 7.5 (a number): "),
        ("true", "environment = true (a boolean): "),
        ('["a"]', 'environment = ["a"] (a list): '),
        ("{a = 1}", "environment (a table): "),
        ("1979-05-27", 'environment = "1979-05-27" (a date or time): '),
        ('"a\\nb"', 'environment = "a\\nb" (a string): '),
    ],
)
def test_values_of_the_wrong_type_are_named(tmp_path: Path, value: str, shown: str) -> None:
    """Each on one line."""
    assert only_fault(tmp_path, f"environment = {value}").startswith(shown)


def test_long_values_are_cut(tmp_path: Path) -> None:
    """A pasted file does not flood the terminal."""
    assert len(only_fault(tmp_path, f'environment = "{"x" * 10_000}"')) < 300


@pytest.mark.parametrize("section", ["scheduler", "redis", "clients"])
def test_a_value_where_a_table_belongs_is_a_fault(tmp_path: Path, section: str) -> None:
    """Not an error of ours."""
    assert only_fault(tmp_path, f"{section} = 5") == f"{section} = 5 (a whole number): must be a table: [{section}]"


def test_a_client_that_is_no_table_is_a_fault(tmp_path: Path) -> None:
    """As above, one level down."""
    assert only_fault(tmp_path, "[clients]\nacme = 5").startswith("clients.acme = 5 (a whole number): must be a table")


@pytest.mark.parametrize("name", ["Acme", "1acme", "a-b", "a.b", "", "a" * 33, "ä", "two words"])
def test_client_names_are_simple(tmp_path: Path, name: str) -> None:
    """They become metric labels, variables and parts of commands."""
    assert "a client's name is" in only_fault(tmp_path, f'[clients."{name}"]\nclient_id = "x"')


@pytest.mark.parametrize("name", ["a", "a" * 32, "frame_io_2", "a__b"])
def test_good_client_names_are_accepted(tmp_path: Path, name: str) -> None:
    """One to 32 characters."""
    assert [name] == list(loaded(tmp_path, f'[clients.{name}]\nclient_id = "x"').settings.clients)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[log]\nlevl = 1", "log.levl (a whole number): there is no such key; did you mean level?"),
        ("[clients.a]\nclient_id='x'\nclient_secret_fiel='x'", "did you mean client_secret_file?"),
        ("[clients.a]\nclient_id='x'\ntoken_endpiont='x'", "did you mean token_endpoint?"),
        ("[client.a]\nclient_id='x'", "client (a table): there is no such table; did you mean clients?"),
        ("scan_interval = '1s'", "there is no such key here; it belongs to [scheduler]"),
        ("client_id = 'x'", "there is no such key here; it belongs to [clients.NAME]"),
        ("[store]\nencryption_key = 'x'", "did you mean encryption_key_file?"),
        ("zzz = 1", "zzz (a whole number): there is no such key"),
        ('"two\\nlines" = 1', '"two\\nlines" (a whole number): there is no such key'),
        ("[clients.a]\nclient_id='x'\nprovider_profile={}", "clients.a.provider_profile (a table): there is no such key"),
        ("[clients.a]\nclient_id='x'\nauth_method='none'", "clients.a.auth_method (a string): there is no such key"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_a_fault_with_a_suggestion(tmp_path: Path, text: str, message: str) -> None:
    """A misspelt key that is ignored is a default that nobody wanted."""
    assert message in only_fault(tmp_path, text)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (
            "REFRESHD_REDIS__ULR",
            "redis.ulr (a string, from $REFRESHD_REDIS__ULR): there is no such key; did you mean url?",
        ),
        ("REFRESHD_REDIS_URL", "there is no such setting; did you mean $REFRESHD_REDIS__URL?"),
        ("REFRESHD_ENVIRONMNT", "did you mean $REFRESHD_ENVIRONMENT?"),
        ("REFRESHD_REDDIS__URL", "reddis (a table): there is no such table; did you mean redis?"),
        ("REFRESHD_CLIENTS__ACME", "$REFRESHD_CLIENTS__ACME: name a client and a key: REFRESHD_CLIENTS__NAME__KEY"),
        ("REFRESHD_CLIENTS", "$REFRESHD_CLIENTS: name a client and a key"),
        ("REFRESHD_SCHEDULER", "must be a table: [scheduler]"),
    ],
)
def test_an_unknown_variable_is_a_fault_with_a_suggestion(tmp_path: Path, variable: str, message: str) -> None:
    """The same for the environment, with the variable's own name."""
    assert message in only_fault(tmp_path, environ={variable: "x"})


def test_a_table_and_a_value_of_one_name_in_the_environment(tmp_path: Path) -> None:
    """Two variables that contradict each other are told, whichever comes first."""
    found = faults(tmp_path, environ={"REFRESHD_REDIS": "x", "REFRESHD_REDIS__URL": "redis://127.0.0.1"})
    assert ["$REFRESHD_REDIS__URL", "redis"] == [fault.path for fault in found]


def test_the_source_of_a_value_is_told(tmp_path: Path) -> None:
    """Who looks into the file would not find it there; what came from a file of its own is not shown."""
    path = write(tmp_path, "hunter2", name="redis.url")
    by_variable = faults(tmp_path, environ={"REFRESHD_LOG__LEVEL": "loud"})
    by_file = faults(tmp_path, '[redis]\nurl_file = "redis.url"')
    assert str(by_variable[0]).startswith('log.level = "loud" (a string, from $REFRESHD_LOG__LEVEL): must be')
    assert str(by_file[0]).startswith(f"redis.url (a string, from {path}): must be a Redis URL")


@pytest.mark.parametrize(
    "text",
    [
        CLIENT + 'client_secret = "hunter2"\n',
        CLIENT + 'proxy = "http://user:hunter2@proxy:3128"\n',
        '[redis]\nurl = "redis://:hunter2@127.0.0.1"\n',
        '[store]\nurl = "postgresql://user:hunter2@h/db"\n',
    ],
)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_secret_in_a_file_that_others_can_read_is_a_fault(tmp_path: Path, text: str, mode: int) -> None:
    """With the command that mends it; the same file is fine when it is private."""
    path = write(tmp_path, text, mode=mode)
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    (fault,) = caught.value.faults
    assert f"a secret in a file that other users can read; run: chmod 600 {path}" == fault.message
    assert "***" in str(fault.value)
    assert "hunter2" not in str(fault)
    path.chmod(0o600)
    assert load(path, environ={"HOME": str(tmp_path)}, cwd=tmp_path).path == path


def test_a_file_without_secrets_may_be_read_by_all(tmp_path: Path) -> None:
    """Then a secret from the environment or a file of its own is no reason either."""
    write(tmp_path, "s3cret", name="acme.secret")
    path = write(tmp_path, CLIENT + 'client_secret_file = "acme.secret"', mode=0o644)
    environ = {"HOME": str(tmp_path), "REFRESHD_REDIS__URL": "redis://:pw@127.0.0.1"}
    assert () == load(path, environ=environ, cwd=tmp_path).warnings


def test_a_secret_file_that_all_can_read_is_a_warning(tmp_path: Path) -> None:
    """Only a warning, because mounts choose modes of their own."""
    path = write(tmp_path, "s3cret", name="acme.secret", mode=0o644)
    expected = f"clients.acme.client_secret_file: other users can read the secret; run: chmod 600 {path}"
    assert (expected,) == loaded(tmp_path, CLIENT + 'client_secret_file = "acme.secret"').warnings


def test_settings_show_no_secret(tmp_path: Path) -> None:
    """Neither printed nor dumped, for a settings object ends up in some traceback sooner or later."""
    text = (
        CLIENT
        + 'client_secret = "hunter2"\nproxy = "http://u:hunter3@proxy"\n[redis]\nurl = "redis://:hunter4@127.0.0.1"\n'
    )
    result = loaded(tmp_path, text + '[store]\nurl = "postgresql://user:hunter5@h/db"')
    shown = repr(result) + str(result.settings.model_dump()) + result.settings.model_dump_json()
    assert [] == [secret for secret in SECRETS if secret in shown]
    assert "redis://:***@127.0.0.1" in json.loads(result.settings.model_dump_json())["redis"]["url"]
    assert client(tmp_path, 'client_secret = "hunter2"').client_secret is not None
