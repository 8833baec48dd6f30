"""Addresses: what may stand in a URL or after `listen`, and how a URL is shown without its password."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from refreshd.config.postgres_urls import is_postgres, parse_postgres_url

_SECRET_PARAMETER = re.compile(r"([?&][^=&#]*(?:pass|pwd|secret|token)[^=&#]*=)[^&#]+", re.IGNORECASE)
_HTTPS_WANTED = 'must be an https URL, such as "https://login.example/oauth2/token" (http only to a loopback host)'
_REDIRECT_WANTED = (
    'must be an address on this machine, such as "http://127.0.0.1:8765/callback", or one that is not http, such as '
    '"https://login.example/callback"'
)
_REDIS_WANTED = (
    'must be a Redis URL, such as "redis://127.0.0.1:6379/0", "rediss://host:6379/0" or "unix:///run/redis.sock"'
)
_REDIS_QUERY = re.compile(r"db=[0-9]{1,9}|(username|password)=[^&]+")
_REDIS_QUERY_WANTED = 'may hold only db, username and password after "?"; files for TLS have keys of their own'
_STORE_WANTED = 'must be the URL of a database, such as "sqlite:////var/lib/refreshd/refreshd.db" (an absolute path)'
_PROXY_WANTED = 'must be "" (no proxy), "env", or a URL such as "http://proxy:3128"'
_LISTEN_WANTED = 'must be an address and a port, such as "127.0.0.1:9847" or "[::1]:9847"'
_LAST_PORT = 65535
_LONGEST_ISSUER = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where to listen. Port 0 leaves the choice to the system."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Listen:
    """Raises `ValueError` with what would be right, as all functions here."""
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not host or " " in host or (":" in host) != bracketed or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError(_LISTEN_WANTED)
    if int(port) > _LAST_PORT:
        raise ValueError(f"must have a port from 0 to {_LAST_PORT}")
    return Listen(host=host, port=int(port))


def parse_endpoint(text: str) -> str:
    """A provider's endpoint: https, or http to this machine; no password, no fragment (RFC 6749 §3.1, §3.2)."""
    parts = _split(text, _HTTPS_WANTED)
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not parts.hostname or not secure:
        raise ValueError(_HTTPS_WANTED)
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("must hold neither a user name or password nor a fragment (#)")
    return text


def parse_issuer(text: str) -> str:
    """As an endpoint, and without a query (RFC 8414 §2). It is compared to the letter, so nothing of it is changed."""
    parse_endpoint(text)
    if "?" in text:
        raise ValueError('must hold no query (?): it is the issuer alone, such as "https://login.example"')
    if len(text) > _LONGEST_ISSUER:
        raise ValueError(f"must not be longer than {_LONGEST_ISSUER} characters")
    return text


def parse_redirect_uri(text: str) -> str:
    """Where a login comes back to: http to this machine, or whatever else is registered, from which a person pastes it."""
    parts = _split(text, _REDIRECT_WANTED)
    on_this_machine = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.scheme or (parts.scheme == "http" and not on_this_machine) or not (parts.hostname or parts.path):
        raise ValueError(_REDIRECT_WANTED)
    if "@" in parts.netloc or parts.fragment or parts.query:
        raise ValueError("must hold neither a user name or password, nor a query (?), nor a fragment (#)")
    return parts._replace(netloc=parts.netloc.lower()).geturl()


def parse_redis_url(text: str) -> str:
    parts = _split(text, _REDIS_WANTED)
    if parts.scheme == "unix":
        good = parts.path.startswith("/") and parts.path != "/"
    else:
        good = parts.scheme in {"redis", "rediss"} and bool(parts.hostname)
        good = good and re.fullmatch(r"(/[0-9]*)?", parts.path) is not None
    if not good or parts.fragment:
        raise ValueError(_REDIS_WANTED)
    if parts.query and not all(_REDIS_QUERY.fullmatch(one) for one in parts.query.split("&")):
        raise ValueError(_REDIS_QUERY_WANTED)
    return text


def parse_proxy(text: str) -> str:
    if text in {"", "env"}:
        return text
    parts = _split(text, _PROXY_WANTED)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(_PROXY_WANTED)
    return text


def parse_store_url(text: str) -> str:
    if is_postgres(text):
        return parse_postgres_url(text)
    parts = _split(text.replace(" ", "_"), _STORE_WANTED)  # a path may hold spaces
    backend = parts.scheme.partition("+")[0]
    if backend == "sqlite" and not parts.netloc and parts.path.startswith("//") and parts.path != "//":
        return text
    raise ValueError(_STORE_WANTED)


def sqlite_url(file: Path) -> str:
    return f"sqlite:///{file}"


def is_plain_redis(url: str) -> bool:
    """Whether tokens would cross a network unencrypted."""
    parts = urlsplit(url)
    return parts.scheme == "redis" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1 and localhost."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def redact_url(text: str) -> str:
    """Without its password, also where the URL is so wrong that no parser would find it."""
    if found := _userinfo(text):
        start, userinfo, rest = found
        user, colon, _ = userinfo.partition(":")
        text = f"{start}{user}:***@{rest}" if colon else f"{start}***@{rest}"
    return _SECRET_PARAMETER.sub(r"\1***", text)


def has_password(text: str) -> bool:
    found = _userinfo(text)
    return bool(found and found[1].partition(":")[2]) or _SECRET_PARAMETER.search(text) is not None


def _userinfo(text: str) -> tuple[str, str, str] | None:
    """Before, inside and after what precedes the last `@`: an unescaped password may itself hold `/`, `?` or `@`."""
    head, at, rest = text.rpartition("@")
    start, slashes, userinfo = head.partition("://")
    if not slashes:
        start, userinfo = "", head
    if not at or userinfo.startswith("/"):  # a path such as unix:///run/redis@1.sock
        return None
    return start + slashes, userinfo, rest


def _split(text: str, wanted: str) -> SplitResult:
    """The standard library's own messages quote the URL, password included; ours do not."""
    if not text.isprintable() or " " in text:
        raise ValueError(wanted)
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(wanted) from None
    return parts
