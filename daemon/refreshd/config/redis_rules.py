"""What goes together in [redis]: its three shapes exclude each other, and TLS needs its files whole."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from refreshd.config.addresses import is_loopback, is_plain_redis
from refreshd.config.faults import Fault
from refreshd.config.settings import RedisSettings
from refreshd.config.violation import Violation

_DEFAULT_URL = RedisSettings().url
_FILES = ("ca_file", "cert_file", "key_file")
_PLAIN = "tokens cross the network unencrypted; use"


def redis_violations(redis: RedisSettings) -> Iterator[Violation]:
    """Each with what to do about it."""
    by_url = not redis.sentinels and not redis.nodes
    yield from _shape(redis)
    if by_url:
        yield from _url(redis)
    elif redis.url != _DEFAULT_URL:
        other = "sentinels" if redis.sentinels else "nodes"
        yield _broken("url", f"{other} say where Redis is; remove url, or {other}", other)
    yield from _files(redis, "", tls=_is_tls(redis), remedy="rediss:// in url" if by_url else "tls = true")
    if redis.sentinels:
        yield from _files(redis, "sentinel_", tls=redis.sentinel_tls, remedy="sentinel_tls = true")


def redis_warnings(redis: RedisSettings) -> Iterator[str]:
    if redis.sentinels or redis.nodes:
        addresses = [*redis.nodes, *redis.sentinels]
        if not redis.tls and not all(is_loopback(one.host) for one in addresses):
            yield f"redis.tls: {_PLAIN} tls = true, or Redis on this host"
        if (
            redis.sentinel_password
            and not redis.sentinel_tls
            and not all(is_loopback(one.host) for one in redis.sentinels)
        ):
            yield "redis.sentinel_tls: sentinel_password crosses the network unencrypted; use sentinel_tls = true"
    elif is_plain_redis(redis.url):
        yield f"redis.url: {_PLAIN} rediss://, a unix socket, or Redis on this host"


def _shape(redis: RedisSettings) -> Iterator[Violation]:
    if redis.cluster and redis.sentinels:
        yield _broken("cluster", "sentinels are given too, and a cluster has none; keep one of the two", "sentinels")
    elif redis.nodes and not redis.cluster:
        yield _broken("nodes", "are those of a cluster; write cluster = true too, or url for one server", "cluster")
    if redis.db and not redis.sentinels:
        yield _broken("db", "is for sentinels; with url write it there, as in redis://host:6379/2", "sentinels", "url")
    if not redis.sentinels:
        for key in ("sentinel_username", "sentinel_password", "sentinel_tls", *(f"sentinel_{one}" for one in _FILES)):
            if getattr(redis, key):
                yield _broken(key, 'is for Sentinels; name them too: sentinels = ["host:26379"]', "sentinels")


def _url(redis: RedisSettings) -> Iterator[Violation]:
    parts = urlsplit(redis.url)
    said = parse_qs(parts.query)
    if redis.tls and parts.scheme != "rediss":
        yield _broken("tls", "url says otherwise; write rediss:// there", "url")
    for key, there in (("username", parts.username), ("password", parts.password)):
        if getattr(redis, key) and (there or key in said):
            yield _broken(key, "stands in url, too; keep one of the two", "url")
    databases = {parts.path.strip("/"), *said.get("db", [])} - {"", "0"}
    if redis.cluster and parts.scheme == "unix":
        yield _broken("cluster", "a cluster cannot be reached by a unix socket; give nodes", "url")
    elif redis.cluster and databases:
        yield _broken("cluster", "a cluster has database 0 alone; write /0 at the end of url", "url")


def _files(redis: RedisSettings, before: str, *, tls: bool, remedy: str) -> Iterator[Violation]:
    given = {name: getattr(redis, f"{before}{name}") for name in _FILES}
    if given["key_file"] and not given["cert_file"]:
        yield _broken(f"{before}key_file", f"needs its certificate: give {before}cert_file too", f"{before}cert_file")
    for name in _FILES:
        if given[name] and not tls:
            yield _broken(f"{before}{name}", f"is for TLS, which is off; write {remedy}", f"{before}tls", "url")


def _is_tls(redis: RedisSettings) -> bool:
    return redis.tls or (not redis.sentinels and not redis.nodes and urlsplit(redis.url).scheme == "rediss")


def _broken(key: str, message: str, *about: str) -> Violation:
    fault = Fault(path=f"redis.{key}", message=message)
    return Violation(fault=fault, about=frozenset(f"redis.{one}" for one in about))
