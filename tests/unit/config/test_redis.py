"""[redis] in its three shapes: what goes together, what is refused with which remedy, and what comes out for the adapter."""

from pathlib import Path

import pytest

from refreshd.adapters.redis.connecting import BySentinel, Direct, InCluster
from refreshd.config import effective
from refreshd.config.effective import to_toml
from refreshd.wiring.redis import place_of
from tests.integration.certificates import self_signed
from tests.unit.config.configurations import faults, loaded, only_fault, write

SENTINELS = 'sentinels = ["10.0.0.1:26379", "[::1]:26379"]\ntls = true\n'
NODES = 'cluster = true\nnodes = ["127.0.0.1:7000", "localhost:7001"]\n'


def redis(text: str) -> str:
    return f"[redis]\n{text}"


@pytest.fixture
def files(tmp_path: Path) -> str:
    """Lines for TLS, with files that exist."""
    self_signed(tmp_path)
    write(tmp_path, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx", name="locked.pem")
    return 'ca_file = "certificate.pem"\ncert_file = "certificate.pem"\nkey_file = "key.pem"\n'


def test_one_server_by_its_url_with_a_user(tmp_path: Path, files: str) -> None:
    """The password comes from a file; the TLS files stay files, found beside the configuration."""
    write(tmp_path, "s3cret\n", name="redis.password")
    text = 'url = "rediss://h:1/2"\nusername = "u"\npassword_file = "redis.password"\n' + files
    place = place_of(loaded(tmp_path, redis(text)).settings.redis)
    assert isinstance(place, Direct)
    assert "rediss://h:1/2" == place.url.reveal()
    assert {"username": "u", "password": "s3cret"} == place.access.login()
    expected = {"ssl_ca_certs": "certificate.pem", "ssl_certfile": "certificate.pem", "ssl_keyfile": "key.pem"}
    assert {name: str(tmp_path / file) for name, file in expected.items()} == place.access.files()


def test_sentinels_have_users_and_files_of_their_own(tmp_path: Path, files: str) -> None:
    """TLS files of Redis count for them where they have none; its password never does."""
    text = (
        SENTINELS + 'db = 3\nusername = "u"\npassword = "p1"\nsentinel_tls = true\nsentinel_password = "p2"\n' + files
    )
    place = place_of(loaded(tmp_path, redis(text)).settings.redis)
    assert isinstance(place, BySentinel)
    assert ([("10.0.0.1", 26379), ("::1", 26379)], "mymaster", 3) == (place.sentinels, place.master, place.db)
    assert ({"username": "u", "password": "p1"}, True) == (place.access.login(), place.access.tls)
    assert ({"password": "p2"}, True) == (place.sentinel_access.login(), place.sentinel_access.tls)
    assert place.access.files() == place.sentinel_access.files()
    both = 'sentinel_cert_file = "key_and_cert.pem"\n'
    write(tmp_path, (tmp_path / "certificate.pem").read_text(), name="key_and_cert.pem")
    own = place_of(loaded(tmp_path, redis(text + both)).settings.redis)
    assert isinstance(own, BySentinel)
    assert ("key_and_cert.pem", None) == (
        own.sentinel_access.cert_file and own.sentinel_access.cert_file.name,
        own.sentinel_access.key_file,
    )


def test_a_cluster_by_its_nodes_or_by_one_url(tmp_path: Path) -> None:
    """With nodes, the default of url is none of them."""
    by_nodes = place_of(loaded(tmp_path, redis(NODES)).settings.redis)
    by_url = place_of(loaded(tmp_path, redis('cluster = true\nurl = "redis://h:1/0"')).settings.redis)
    assert isinstance(by_nodes, InCluster)
    assert isinstance(by_url, InCluster)
    assert ([("127.0.0.1", 7000), ("localhost", 7001)], None) == (by_nodes.nodes, by_nodes.url)
    assert ((), "redis://h:1/0") == (by_url.nodes, by_url.url and by_url.url.reveal())


def test_the_environment_can_say_all_of_it(tmp_path: Path) -> None:
    """Lists by commas, numbers and truths as words."""
    environ = {"SENTINELS": "a:1,b:2", "DB": "4", "SENTINEL_MASTER": "main", "TLS": "true", "PASSWORD": "p"}
    place = place_of(
        loaded(tmp_path, "", {f"REFRESHD_REDIS__{name}": text for name, text in environ.items()}).settings.redis
    )
    assert isinstance(place, BySentinel)
    assert ([("a", 1), ("b", 2)], 4, "main") == (place.sentinels, place.db, place.master)


@pytest.mark.parametrize(
    ("text", "path", "remedy"),
    [
        (SENTINELS + "cluster = true", "cluster", "keep one of the two"),
        (SENTINELS + 'url = "redis://h"', "url", "remove url, or sentinels"),
        (NODES + 'url = "redis://h"', "url", "remove url, or nodes"),
        ('nodes = ["h:1"]', "nodes", "write cluster = true"),
        ("db = 1", "db", "write it there"),
        ('sentinel_username = "u"', "sentinel_username", "name them too"),
        ("sentinel_tls = true", "sentinel_tls", "name them too"),
        ('url = "redis://h"\ntls = true', "tls", "write rediss:// there"),
        ('url = "rediss://u@h"\nusername = "v"', "username", "stands in url, too"),
        ('url = "rediss://:x@h"\npassword = "y"', "password", "stands in url, too"),
        ('url = "unix:///s?password=x"\npassword = "y"', "password", "stands in url, too"),
        ('cluster = true\nurl = "unix:///s"', "cluster", "give nodes"),
        ('cluster = true\nurl = "redis://127.0.0.1/3"', "cluster", "write /0"),
        ('cluster = true\nurl = "redis://127.0.0.1?db=3"', "cluster", "write /0"),
        ('ca_file = "certificate.pem"', "ca_file", "write rediss:// in url"),
        (NODES + 'ca_file = "certificate.pem"', "ca_file", "write tls = true"),
        (SENTINELS + 'sentinel_ca_file = "certificate.pem"', "sentinel_ca_file", "write sentinel_tls = true"),
        ('url = "rediss://h"\nkey_file = "key.pem"', "key_file", "give cert_file too"),
        ('url = "rediss://h"\ncert_file = "key.pem"', "cert_file", "BEGIN CERTIFICATE"),
        ('url = "rediss://h"\nca_file = "key.pem"', "ca_file", "BEGIN CERTIFICATE"),
        (
            'url = "rediss://h"\ncert_file = "certificate.pem"\nkey_file = "certificate.pem"',
            "key_file",
            "BEGIN PRIVATE KEY",
        ),
        ('url = "rediss://h"\ncert_file = "certificate.pem"\nkey_file = "locked.pem"', "key_file", "is encrypted"),
        ('url = "redis://h?socket_timeout=60"', "url", "may hold only db"),
        ('url = "rediss://h?ssl_cert_reqs=none"', "url", "may hold only db"),
        ('url = "redis://h?db=x"', "url", "may hold only db"),
        ('url = "rediss://h"\ncert_file = "absent.pem"', "cert_file", "there is no file"),
        ('sentinels = ["h"]', "sentinels", "must be a list of hosts with ports"),
        ('sentinels = "h:1"', "sentinels", "must be a list"),
        (SENTINELS + "db = -1", "db", "0 or more"),
        (SENTINELS + 'sentinel_master = ""', "sentinel_master", "must not be empty"),
        ("cluster = 1", "cluster", "true or false"),
        ("password = 5", "password", "must be a string"),
    ],
)
def test_what_does_not_go_together_is_told_with_a_remedy(
    tmp_path: Path, files: str, text: str, path: str, remedy: str
) -> None:
    """One fault, at the key that is to be changed, however many shapes were mixed."""
    assert files
    [fault] = faults(tmp_path, redis(text))
    assert f"redis.{path}" == fault.path
    assert remedy in fault.message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('url = "redis://redis.example"', "redis.url"),
        ('sentinels = ["10.0.0.1:26379"]', "redis.tls"),
        ('cluster = true\nnodes = ["10.0.0.1:6379"]', "redis.tls"),
        ('cluster = true\nurl = "redis://10.0.0.1"', "redis.url"),
        (SENTINELS + 'sentinel_password = "p"', "redis.sentinel_tls"),
    ],
)
def test_secrets_in_the_clear_beyond_this_machine_are_warned_of(tmp_path: Path, text: str, key: str) -> None:
    """In every shape; the network may be a private one, so it is no fault."""
    (warning,) = loaded(tmp_path, redis(text)).warnings
    assert warning.startswith(f"{key}: ")
    assert "unencrypted" in warning


@pytest.mark.parametrize("text", [NODES, SENTINELS, 'sentinels = ["127.0.0.1:1"]', 'url = "unix:///s"'])
def test_on_this_machine_or_by_tls_there_is_nothing_to_warn_of(tmp_path: Path, text: str) -> None:
    """A warning that is always there is read by nobody."""
    assert () == loaded(tmp_path, redis(text)).warnings


def test_passwords_are_shown_nowhere(tmp_path: Path) -> None:
    """Neither in the effective configuration nor in a fault; and a file that others can read must not hold one."""
    text = redis(SENTINELS + 'password = "hunter2"\nsentinel_tls = true\nsentinel_password = "hunter3"\n')
    shown = to_toml(effective(loaded(tmp_path, text).settings))
    assert ("hunter" in shown, 'password = "***"' in shown) == (False, True)
    assert "hunter" not in only_fault(tmp_path, text + "cluster = true")
    path = write(tmp_path, text, name="open.toml", mode=0o644)
    assert path.exists()


def test_the_effective_configuration_reads_back(tmp_path: Path) -> None:
    """Also in the shapes that url does not describe: its default stands there, and is taken for that."""
    for text in (NODES, SENTINELS + "db = 2\nsentinel_tls = true\n"):
        first = effective(loaded(tmp_path, redis(text)).settings)
        assert first == effective(loaded(tmp_path, to_toml(first)).settings)


def test_a_key_that_others_can_read_is_warned_of(tmp_path: Path, files: str) -> None:
    """It proves who we are."""
    (tmp_path / "key.pem").chmod(0o644)
    (warning,) = loaded(tmp_path, redis('url = "rediss://h"\n' + files)).warnings
    assert warning.startswith("redis.key_file: other users can read the key; run: chmod 600 ")
