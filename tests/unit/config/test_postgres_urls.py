"""PostgreSQL's URLs: what is understood, what is refused in words, and what is warned about."""

from pathlib import Path

import pytest

from refreshd.config import effective
from refreshd.config.addresses import parse_store_url
from refreshd.config.postgres_urls import is_unverified
from tests.unit.config.configurations import loaded

STATE = {"STATE_DIRECTORY": "/var/lib/refreshd"}
VERIFIED = "postgresql://refreshd@db.example/refreshd?sslmode=verify-full&sslrootcert=/etc/ca.pem"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///refreshd",
        "postgresql://refreshd@localhost/refreshd",
        "postgresql://u:p%40ss@[::1]:5432/db",
        "postgresql://u@one.example:5432,two.example:5433/db?target_session_attrs=read-write",
        "postgresql://u@/db?host=/run/postgresql",
        VERIFIED,
    ],
)
def test_what_libpq_understands_is_taken_as_it_is(url: str) -> None:
    """Sockets, several hosts, TLS."""
    assert url == parse_store_url(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://h/db?sslmod=verify-full", "did you mean 'sslmode'"),
        ("postgresql://h/db?sslmode=verify", "choose one of disable"),
        ("postgresql://h/db?options=-csearch_path%3Dx", "ALTER ROLE"),
        ("postgresql+asyncpg://h/db", "such as"),
        ("postgresql://h:port/db", "such as"),
        ("postgresql://h /db", "such as"),
    ],
)
def test_what_would_do_something_else_is_refused(url: str, words: str) -> None:
    """A misspelt sslmode would go on without TLS."""
    with pytest.raises(ValueError, match=words):
        parse_store_url(url)


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@h/db?pasword=hunter2", "postgresql://u:hunter2@h:x/db"])
def test_no_refusal_quotes_a_password(url: str) -> None:
    """What is wrong with a URL can be said without it."""
    with pytest.raises(ValueError, match=r"must|has") as refused:
        parse_store_url(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "unverified"),
    [
        ("postgresql:///db", False),
        ("postgresql://u@127.0.0.1:5432/db", False),
        ("postgresql://u@/db?host=/run/postgresql", False),
        (VERIFIED, False),
        ("postgresql://u@db.example/db", True),
        ("postgresql://u@db.example/db?sslmode=require", True),
        ("postgresql://u@localhost,db.example/db", True),
    ],
)
def test_a_server_that_nobody_verifies_is_noticed(url: str, *, unverified: bool) -> None:
    """Encryption alone does not tell who is at the other end."""
    assert unverified == is_unverified(url)


def test_the_password_is_never_shown(tmp_path: Path) -> None:
    """`config print` is pasted into tickets."""
    result = loaded(tmp_path, '[store]\nurl = "postgresql://u:hunter2@db.example/db?sslpassword=hunter3"', STATE)
    store = effective(result.settings)["store"]
    assert {
        "url": "postgresql://u:***@db.example/db?sslpassword=***",
        "encryption_key_file": "/var/lib/refreshd/encryption.key",
        "spool_directory": "/var/lib/refreshd/spool",
    } == store
    assert any("sslmode=verify-full" in one for one in result.warnings)
