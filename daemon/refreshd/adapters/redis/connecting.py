"""From what is configured to a redis-py client, for every shape in which Redis is run.

All time-outs and retries are set here: redis-py's own would take 55 s over three commands to one frozen cluster node.
What is done with the client does not belong here.
"""

import asyncio
import codecs
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from refreshd.adapters.redis.packing import packing
from refreshd.domain.secret import Secret

CONNECT_TIMEOUT = 1.0
SOCKET_TIMEOUT = 2.0
# Each Sentinel may be the dead one: three of them have to fit into one call, and into one look.
SENTINEL_TIMEOUT = 0.5
_LENIENT = "refreshd-lenient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How servers are spoken to: the ACL user, and TLS with what it takes. The files are read at each new client."""

    username: str = ""
    password: Secret | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def login(self) -> dict[str, Any]:
        """As redis-py names it; nothing of what is not set, so that a URL may say it."""
        given = {"username": self.username or None, "password": self.password.reveal() if self.password else None}
        return {name: value for name, value in given.items() if value is not None}

    def files(self) -> dict[str, Any]:
        given = {"ssl_ca_certs": self.ca_file, "ssl_certfile": self.cert_file, "ssl_keyfile": self.key_file}
        return {name: str(value) for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """One server, by its URL; that decides on TLS."""

    url: Secret
    access: Access = Access()


@dataclass(frozen=True, slots=True, kw_only=True)
class BySentinel:
    """Whichever server the Sentinels call the primary of `master`. `sentinel_access` is for the Sentinels themselves."""

    sentinels: Sequence[tuple[str, int]]
    master: str
    db: int = 0
    access: Access = Access()
    sentinel_access: Access = Access()


@dataclass(frozen=True, slots=True, kw_only=True)
class InCluster:
    """A Redis Cluster, found through `nodes`, or through the one that `url` names."""

    nodes: Sequence[tuple[str, int]] = ()
    url: Secret | None = None
    access: Access = Access()


Place = Direct | BySentinel | InCluster


async def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client. `follow` goes over to another server if the Sentinels name one; without Sentinels it does nothing.

    A cluster's client is typed as a single server's: the commands that we use are the same on both.
    """

    redis: Redis
    close: Callable[[], Awaitable[None]]
    follow: Callable[[], Awaitable[None]] = _nothing


def connect(place: Place, *, name: str = "refreshd", socket_timeout: float = SOCKET_TIMEOUT) -> Client:
    """A client that has not connected yet: nothing is waited for. `name`: as CLIENT LIST shows it.

    `socket_timeout`: in seconds, longer for who asks Redis to hold an answer back.
    """
    options = _options(name, socket_timeout)
    match place:
        case Direct():
            return _direct(place, options)
        case BySentinel():
            return _by_sentinel(place, options)
        case InCluster():
            return _in_cluster(place, options)


def _direct(place: Direct, ours: Mapping[str, Any]) -> Client:
    options: dict[str, Any] = {**parse_url(place.url.reveal()), **place.access.login(), **ours}
    if options.get("connection_class") is SSLConnection:
        options |= place.access.files()
    options["connection_class"] = packing(options.get("connection_class", Connection))
    redis = Redis.from_pool(ConnectionPool(**options))
    return Client(redis=redis, close=redis.aclose)


def _by_sentinel(place: BySentinel, ours: Mapping[str, Any]) -> Client:
    untyped_sentinel, untyped_pool = cast("Any", Sentinel), cast("Any", SentinelConnectionPool)  # in redis-py
    sentinel = untyped_sentinel(list(place.sentinels), sentinel_kwargs=_sentinel_options(place.sentinel_access))
    access = place.access
    pool = untyped_pool(
        place.master,
        sentinel,
        connection_class=packing(SentinelManagedSSLConnection if access.tls else SentinelManagedConnection),
        db=place.db,
        **access.login(),
        **(access.files() if access.tls else {}),
        **ours,
    )
    redis = Redis.from_pool(pool)

    async def close() -> None:
        await redis.aclose()
        await sentinel.aclose()

    async def follow() -> None:
        """The pool drops its connections when the address has changed: a primary that was put aside may go on answering us.

        Sentinels that do not answer are no reason to leave a server that does.
        """
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await pool.get_master_address()

    return Client(redis=redis, close=close, follow=follow)


def _in_cluster(place: InCluster, ours: Mapping[str, Any]) -> Client:
    given: dict[str, Any] = dict(parse_url(place.url.reveal())) if place.url else {}
    tls = given.pop("connection_class", None) is SSLConnection or place.access.tls
    options = {**given, **place.access.login(), **(place.access.files() if tls else {}), **ours}
    if place.nodes:
        options["startup_nodes"] = [ClusterNode(host, port) for host, port in place.nodes]
    cluster = RedisCluster(ssl=tls, **options)

    async def close() -> None:
        """Also after a fault, when redis-py takes a client for closed whose connections are open."""
        await cluster.aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            with contextlib.suppress(RedisError, OSError):
                await cluster.nodes_manager.aclose(nodes)

    return Client(redis=cast("Redis", cluster), close=close)


def _options(name: str, socket_timeout: float) -> Mapping[str, Any]:
    """The same for every server that holds tokens. A retry is ours to make: here it would hide how long things take."""
    return {
        "decode_responses": True,
        "encoding_errors": _LENIENT,  # one odd token or key must not fail the whole batch
        "protocol": 2,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": socket_timeout,
        "retry": Retry(NoBackoff(), 0),
        "client_name": name,
    }


def _sentinel_options(access: Access) -> Mapping[str, Any]:
    return {
        "protocol": 2,
        "socket_connect_timeout": SENTINEL_TIMEOUT,
        "socket_timeout": SENTINEL_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "ssl": access.tls,
        **access.login(),
        **(access.files() if access.tls else {}),
    }


def _lenient(fault: UnicodeError) -> tuple[str | bytes, int]:
    """Half a character goes out as it is stored; a byte that is no UTF-8 comes in as a replacement, never as an exception."""
    if isinstance(fault, UnicodeEncodeError):
        return codecs.lookup_error("surrogatepass")(fault)
    return codecs.lookup_error("replace")(fault)


codecs.register_error(_LENIENT, _lenient)
