"""Where values come from: which file, which variable, which secret file, and who wins."""

from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.config import ConfigurationError, load
from refreshd.config.places import Places
from refreshd.config.reading import read_config
from refreshd.domain.secret import Secret
from tests.integration.certificates import self_signed
from tests.unit.config.configurations import CLIENT, client, faults, loaded, only_fault, write


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    """Argument, $REFRESHD_CONFIG, working directory, home directory, /etc, in this order."""
    home, cwd, etc, nowhere = (tmp_path / name for name in ("home", "cwd", "etc", "nowhere"))
    candidates = [
        write(tmp_path, "", name="argument.toml"),
        write(tmp_path, "", name="variable.toml"),
        write(cwd, ""),
        write(home, "", name=".config/refreshd/config.toml"),
        write(etc, "", name="refreshd/config.toml"),
    ]
    at_home, by_variable = {"HOME": str(home)}, {"HOME": str(home), "REFRESHD_CONFIG": str(candidates[1])}
    found = [
        read_config(candidates[0], Places(by_variable, cwd, etc=etc)),
        read_config(None, Places(by_variable, cwd, etc=etc)),
        read_config(None, Places(at_home, cwd, etc=etc)),
        read_config(None, Places(at_home, nowhere, etc=etc)),
        read_config(None, Places({"HOME": str(nowhere)}, nowhere, etc=etc)),
    ]
    assert candidates == [file.path for file in found if file]


def test_no_file_is_needed(tmp_path: Path) -> None:
    """The environment alone can configure a container; relative names then belong to the working directory."""
    places = Places({"HOME": str(tmp_path)}, tmp_path, etc=tmp_path)
    assert read_config(None, places) is None
    assert tmp_path / "acme.secret" == places.file("acme.secret", beside=None)


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path, *, by_variable: bool) -> None:
    """Falling back to another one would run the wrong configuration."""
    write(tmp_path, CLIENT)
    asked = tmp_path / "other.toml"
    environ = {"HOME": str(tmp_path)} | ({"REFRESHD_CONFIG": "other.toml"} if by_variable else {})
    with pytest.raises(ConfigurationError) as caught:
        load(None if by_variable else asked, environ=environ, cwd=tmp_path)
    assert f"{asked}: there is no such file; `refreshd init` writes one" == str(caught.value)


def test_a_file_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    """The same, for a file that is found but useless."""
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(None, environ={"HOME": str(tmp_path)}, cwd=tmp_path)


def test_a_mistake_in_the_notation_is_given_with_its_line(tmp_path: Path) -> None:
    """And nothing else is said, for nothing else is known."""
    assert "is not valid TOML: " in only_fault(tmp_path, 'environment = "x"\nscheduler]\n')
    assert "(at line 2, column 10)" in only_fault(tmp_path, 'environment = "x"\nscheduler]\n')


def test_a_file_in_another_encoding_is_given_with_its_line(tmp_path: Path) -> None:
    """TOML is UTF-8."""
    path = tmp_path / "config.toml"
    path.write_bytes(b'environment = "x"\n# caf\xe9\n')
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    assert f"{path}: is not UTF-8 text (line 2)" == str(caught.value)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """For keys at the top, in sections and of clients, and for clients that no file names."""
    settings = loaded(
        tmp_path,
        'environment = "file"\n[redis]\nurl = "redis://127.0.0.1:1/0"\n' + CLIENT,
        {
            "REFRESHD_ENVIRONMENT": "variable",
            "REFRESHD_REDIS__URL": "redis://127.0.0.1:2/0",
            "REFRESHD_CLIENTS__ACME__CLIENT_ID": "other",
            "REFRESHD_CLIENTS__A__B__CLIENT_ID": "ab",
            "REFRESHD_CLIENTS__A___CLIENT_ID": "a",
            "REFRESHD_CONFIG": "/not/looked/at/when/a/path/is/given",
        },
    ).settings
    assert settings.environment == "variable"
    assert settings.redis.url == "redis://127.0.0.1:2/0"
    assert {"acme": "other", "a__b": "ab", "a_": "a"} == {name: one.client_id for name, one in settings.clients.items()}


def test_variables_have_no_types_so_the_keys_give_them(tmp_path: Path) -> None:
    """Whole numbers, truth and lists can be set from outside too."""
    settings = loaded(
        tmp_path,
        CLIENT,
        {
            "REFRESHD_SCHEDULER__CONCURRENCY": "8",
            "REFRESHD_LOG__SUCCESSES": "false",
            "REFRESHD_RELOGIN__WARN_BEFORE": "2d, 1d",
            "REFRESHD_CLIENTS__ACME__REJECTION_CODES": '["dead", "gone"]',
            "REFRESHD_CLIENTS__ACME__CLIENT_AUTH": "none",
        },
    ).settings
    assert (8, False) == (settings.scheduler.concurrency, settings.log.successes)
    assert (timedelta(days=2), timedelta(days=1)) == settings.relogin.warn_before
    assert settings.clients["acme"].provider_profile.rejection_codes == ("dead", "gone")


def test_in_the_file_types_are_strict(tmp_path: Path) -> None:
    """TOML has numbers and truth of its own; "8" is a mistake that would teach others."""
    text = '[scheduler]\nconcurrency = "8"\n[log]\nsuccesses = "true"\n'
    assert [
        'log.successes = "true" (a string): must be true or false',
        'scheduler.concurrency = "8" (a string): must be a whole number, at least 1',
    ] == list(map(str, faults(tmp_path, text)))


def test_a_variable_replaces_the_files_secret_file(tmp_path: Path) -> None:
    """Key and key_file are one setting: the environment overrides it in either notation."""
    write(tmp_path, "redis://127.0.0.1:1/0", name="file.url")
    write(tmp_path, "redis://127.0.0.1:2/0", name="variable.url")
    plain = loaded(tmp_path, '[redis]\nurl_file = "file.url"\n', {"REFRESHD_REDIS__URL": "redis://127.0.0.1:3/0"})
    named = loaded(tmp_path, '[redis]\nurl = "redis://h"\n', {"REFRESHD_REDIS__URL_FILE": "variable.url"})
    assert plain.settings.redis.url == "redis://127.0.0.1:3/0"
    assert named.settings.redis.url == "redis://127.0.0.1:2/0"


def test_service_links_of_kubernetes_are_no_settings(tmp_path: Path) -> None:
    """A Service named refreshd puts these into every pod of its namespace."""
    links = {
        "REFRESHD_SERVICE_HOST": "10.0.0.1",
        "REFRESHD_SERVICE_PORT_HTTP": "9847",
        "REFRESHD_PORT": "tcp://10.0.0.1:9847",
        "REFRESHD_METRICS_PORT_9847_TCP_ADDR": "10.0.0.1",
    }
    assert loaded(tmp_path).settings == loaded(tmp_path, environ=links).settings


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n"])
def test_a_secret_file_loses_one_line_break(tmp_path: Path, content: str) -> None:
    """Editors add one; whatever else stands there belongs to the secret."""
    (tmp_path / "acme.secret").write_bytes(content.encode())
    assert Secret("s3cret") == client(tmp_path, 'client_secret_file = "acme.secret"').client_secret


@pytest.mark.parametrize(
    ("content", "reason"), [("", "must not be empty"), ("a\nb\n", "must be one line"), ("a\n\n", "one line")]
)
def test_a_secret_that_cannot_be_one_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    """Sent as it is, it would be refused as a wrong client, much later."""
    path = write(tmp_path, content, name="acme.secret")
    fault = only_fault(tmp_path, CLIENT + 'client_secret_file = "acme.secret"')
    assert fault.startswith(f"clients.acme.client_secret (a string, from {path}): ")
    assert reason in fault


def test_any_key_can_come_from_a_file(tmp_path: Path) -> None:
    """Also numbers, and keys of the provider."""
    write(tmp_path, "staging\n", name="environment")
    write(tmp_path, "7\n", name="number")
    write(tmp_path, "2h\n", name="lifetime")
    text = f'environment_file = "environment"\n{CLIENT}max_in_flight_file = "number"\naccess_token_lifetime_file = "lifetime"'
    settings = loaded(tmp_path, text).settings
    acme = settings.clients["acme"]
    assert settings.environment == "staging"
    assert (7, timedelta(hours=2)) == (acme.max_in_flight, acme.provider_profile.access_token_lifetime)


def test_credentials_of_systemd_come_before_files_beside_the_configuration(tmp_path: Path) -> None:
    """For contents and for paths; an absolute name is left alone."""
    credentials = tmp_path / "credentials"
    write(credentials, "from systemd", name="acme.secret")
    write(credentials, "key", name="ring")
    write(tmp_path, "from beside", name="acme.secret")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    text = f'[store]\nencryption_key_file = "ring"\n{CLIENT}client_secret_file = '
    settings = loaded(tmp_path, text + '"acme.secret"', environ).settings
    assert Secret("from systemd") == settings.clients["acme"].client_secret
    assert credentials / "ring" == settings.store.encryption_key_file
    beside = loaded(tmp_path, text + f'"{tmp_path / "acme.secret"}"', environ).settings
    assert Secret("from beside") == beside.clients["acme"].client_secret


def test_what_systemd_does_not_hold_lies_beside_the_configuration(tmp_path: Path) -> None:
    """A unit may load one secret and leave another where it is."""
    (tmp_path / "credentials").mkdir()
    write(tmp_path, "from beside", name="acme.secret")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert Secret("from beside") == client(tmp_path, 'client_secret_file = "acme.secret"', environ).client_secret


def test_relative_names_belong_to_the_configuration_not_to_the_working_directory(tmp_path: Path) -> None:
    """The same file means the same everywhere."""
    write(tmp_path / "etc", "s3cret", name="acme.secret")
    path = write(tmp_path / "etc", CLIENT + 'client_secret_file = "acme.secret"\n[store]\nencryption_key_file = "ring"')
    settings = load(path, environ={"HOME": str(tmp_path)}, cwd=tmp_path).settings
    assert Secret("s3cret") == settings.clients["acme"].client_secret
    assert tmp_path / "etc" / "ring" == settings.store.encryption_key_file


def test_a_tilde_is_the_home_directory(tmp_path: Path) -> None:
    """No shell reads the file, but people write it as if one did."""
    settings = loaded(tmp_path, '[store]\nencryption_key_file = "~/ring"').settings
    assert tmp_path / "home" / "ring" == settings.store.encryption_key_file


@pytest.mark.parametrize("name", ["missing", "directory", "", "a\\u0000b"])
def test_a_secret_file_that_cannot_be_read_is_one_fault(tmp_path: Path, name: str) -> None:
    """Not also a missing secret."""
    (tmp_path / "directory").mkdir()
    text = CLIENT + f'client_auth = "client_secret_basic"\nclient_secret_file = "{name}"'
    assert only_fault(tmp_path, text).startswith("clients.acme.client_secret_file = ")


def test_key_and_key_file_together_are_a_fault(tmp_path: Path) -> None:
    """Either could be the one that was forgotten."""
    text = '[redis]\nurl = "redis://127.0.0.1"\nurl_file = "redis.url"'
    assert only_fault(tmp_path, text) == "redis.url_file: url is given too; keep one of the two"


def test_the_store_lies_in_the_state_directory(tmp_path: Path) -> None:
    """systemd's, of which the first counts, or one in the home directory; the key ring beside it."""
    own = loaded(tmp_path).settings.store
    given = loaded(tmp_path, environ={"STATE_DIRECTORY": "/var/lib/refreshd:/var/lib/other"}).settings.store
    assert f"sqlite:///{tmp_path}/home/.local/state/refreshd/refreshd.db" == own.url
    assert tmp_path / "home/.local/state/refreshd/encryption.key" == own.encryption_key_file
    assert given.url == "sqlite:////var/lib/refreshd/refreshd.db"
    assert Path("/var/lib/refreshd/encryption.key") == given.encryption_key_file


def test_the_key_ring_need_not_exist_yet(tmp_path: Path) -> None:
    """`keys new` reads the configuration to learn where to write it."""
    assert (
        tmp_path / "ring"
        == loaded(tmp_path, '[store]\nencryption_key_file = "ring"').settings.store.encryption_key_file
    )


def test_a_certificate_file_must_exist(tmp_path: Path) -> None:
    """Otherwise the daemon would fail when it is first needed."""
    expected = f'clients.acme.ca_file = "ca.pem" (a string): there is no file {tmp_path / "ca.pem"}'
    assert expected == only_fault(tmp_path, CLIENT + 'ca_file = "ca.pem"')
    write(tmp_path, "PEM", name="ca.pem")
    assert "ca.pem holds no certificates" in only_fault(tmp_path, CLIENT + 'ca_file = "ca.pem"')
    write(tmp_path, self_signed(tmp_path)[1].read_text(), name="ca.pem")
    assert tmp_path / "ca.pem" == client(tmp_path, 'ca_file = "ca.pem"').ca_file
