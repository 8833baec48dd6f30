"""Addresses: what is accepted, and that no password is ever shown, however wrong the URL."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.config.addresses import (
    Listen,
    has_password,
    is_plain_redis,
    parse_endpoint,
    parse_listen,
    parse_proxy,
    parse_redis_url,
    parse_store_url,
    redact_url,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:9847", "127.0.0.1", 9847), ("[::1]:9847", "::1", 9847), ("localhost:0", "localhost", 0)],
)
def test_listen_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    """IPv6 in brackets; port 0 lets the system choose; written back as it was."""
    assert Listen(host=host, port=port) == parse_listen(text)
    assert text == str(parse_listen(text))


@pytest.mark.parametrize(
    "text", ["", "9847", ":9847", "127.0.0.1", "127.0.0.1:", "::1:9847", "[h]:1", "h:65536", "h:-1"]
)
def test_no_address_is_guessed(text: str) -> None:
    """Least of all one that would listen everywhere."""
    with pytest.raises(ValueError, match="must "):
        parse_listen(text)


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example/token",
        "https://login.example:8443/token?tenant=1",
        "http://127.0.0.1:4444/token",
        "http://127.8.9.10/token",
        "http://[::1]:4444/token",
        "http://localhost/token",
    ],
)
def test_endpoints_are_encrypted_or_on_this_machine(url: str) -> None:
    """Loopback is 127.0.0.0/8, ::1 and localhost."""
    assert url == parse_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "login.example/token",
        "http://login.example/token",
        "http://10.0.0.1/token",
        "http://127.0.0.1.evil.example/token",
        "http://localhost.evil.example/token",
        "ftp://login.example/token",
        "https:///token",
        "https://login.example:port/token",
        "https://login.example/to ken",
        "https://login.example/token\n",
        "https://user:hunter2@login.example/token",
        "https://login.example/token#hunter2",
        "https://[::1/token",
    ],
)
def test_other_endpoints_are_refused_without_being_quoted(url: str) -> None:
    """A secret must not cross a network in the clear, nor reach the message."""
    with pytest.raises(ValueError, match=r"must be an https URL|must hold neither") as caught:
        parse_endpoint(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://h",
        "rediss://user:pw@redis.example:6380/3",
        "unix:///run/redis.sock",
        "unix://user:pw@/run/redis.sock?db=2",
    ],
)
def test_redis_is_reached_by_tcp_tls_or_a_socket(url: str) -> None:
    """The three schemes of redis-py."""
    assert url == parse_redis_url(url)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:6379", "http://h", "redis://", "redis://h:port", "redis://h/db", "unix://"]
)
def test_other_redis_urls_are_refused(url: str) -> None:
    """At the start, not at the first publication."""
    with pytest.raises(ValueError, match="must be a Redis URL"):
        parse_redis_url(url)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("redis://127.0.0.1:6379/0", False),
        ("redis://[::1]/0", False),
        ("redis://localhost", False),
        ("rediss://redis.example", False),
        ("unix:///run/redis.sock", False),
        ("redis://redis.example", True),
        ("redis://10.0.0.1", True),
    ],
)
def test_unencrypted_redis_is_noticed_beyond_this_machine(url: str, *, plain: bool) -> None:
    """Access tokens would cross the network."""
    assert plain == is_plain_redis(url)


@pytest.mark.parametrize(
    "url", ["sqlite:////var/lib/x.db", "sqlite:////home/some one/x.db", "postgresql+psycopg://u:p@h/db"]
)
def test_a_store_is_a_file_or_a_server(url: str) -> None:
    """A path may hold spaces."""
    assert url == parse_store_url(url)


@pytest.mark.parametrize(
    "url", ["", "/var/lib/x.db", "sqlite://", "sqlite:///x.db", "sqlite:///:memory:", "mysql://h/db"]
)
def test_a_store_is_where_its_url_says_from_every_directory(url: str) -> None:
    """A relative path would give each command a store of its own; memory would forget every rotation."""
    with pytest.raises(ValueError, match="an absolute path"):
        parse_store_url(url)


@pytest.mark.parametrize("text", ["", "env", "http://proxy:3128", "https://user:pw@proxy"])
def test_a_proxy_is_none_the_environments_or_a_url(text: str) -> None:
    """Three meanings, three notations."""
    assert text == parse_proxy(text)


@pytest.mark.parametrize("text", ["proxy:3128", "socks5://proxy", "none", "http://"])
def test_other_proxies_are_refused(text: str) -> None:
    """Rather than going out without one."""
    with pytest.raises(ValueError, match="no proxy"):
        parse_proxy(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hunter2@h:6379/0", "redis://:***@h:6379/0"),
        ("redis://user:hunter2@h", "redis://user:***@h"),
        ("redis://hunter2@h", "redis://***@h"),
        ("redis://:hun/t?e#r@2@h", "redis://:***@h"),
        ("user:hunter2@h", "user:***@h"),
        ("unix:///run/redis.sock?password=hunter2&db=1", "unix:///run/redis.sock?password=***&db=1"),
        ("unix:///run/redis@1.sock", "unix:///run/redis@1.sock"),
        ("sqlite:////srv/a@b/x.db", "sqlite:////srv/a@b/x.db"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """And with everything that helps to find the mistake."""
    assert shown == redact_url(url)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("redis://:pw@h", True),
        ("postgresql://user:pw@h/db", True),
        ("unix:///s?password=pw", True),
        ("postgresql://user@h/db", False),
        ("redis://h:6379/0", False),
        ("sqlite:////srv/a:b@c/x.db", False),
    ],
)
def test_a_password_in_a_url_is_recognised(url: str, *, secret: bool) -> None:
    """A user's name alone is no secret."""
    assert secret == has_password(url)


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=4))
def test_no_password_survives(noise: str) -> None:
    """Whatever it is made of, also in URLs that no parser takes, and not in the parser's message either."""
    password = f"<{noise}>"
    url = f"redis://:{password}@h"
    assert redact_url(url) == "redis://:***@h"
    parsers: list[Callable[[str], object]] = [
        parse_redis_url,
        parse_store_url,
        parse_proxy,
        parse_endpoint,
        parse_listen,
    ]
    for parse in parsers:
        try:
            parse(url)
        except ValueError as exc:
            assert password not in str(exc)  # noqa: PT017 - whether it raises is not the point
