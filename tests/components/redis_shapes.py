"""Redis in every shape in which people run it, each as the place that a publisher is given and a client that looks on."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from refreshd.adapters.redis.connecting import Access, BySentinel, Direct, InCluster, Place
from refreshd.domain.secret import Secret
from tests.components.ports import free_port
from tests.components.redis_cluster import ClusterGroup
from tests.components.redis_sentinels import MASTER, SentinelGroup
from tests.components.redis_server import RedisServer
from tests.integration.certificates import self_signed

USER, PASSWORD = "refreshd", "pass/word@%41"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """`client` looks on past TLS and ACL, so that it also sees what a writer may not."""

    place: Place
    client: redis.Redis

    def empty(self) -> None:
        self.client.flushall()
        self.client.script_flush()


@contextmanager
def standalone() -> Iterator[Shape]:
    with RedisServer() as server:
        yield Shape(place=Direct(url=Secret(server.url)), client=server.client())


@contextmanager
def unix_socket() -> Iterator[Shape]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "redis.sock"
        with RedisServer(options=("--unixsocket", str(path))) as server:
            yield Shape(place=Direct(url=Secret(f"unix://{path}?db=0")), client=server.client())


@contextmanager
def tls_and_acl() -> Iterator[Shape]:
    """`rediss://` with a CA of its own, a client certificate that the server demands, and an ACL user."""
    with tempfile.TemporaryDirectory() as directory, tls_server(Path(directory)) as (server, tls):
        client = server.client()
        client.acl_setuser(USER, enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], commands=["+@all"])
        place = Direct(url=Secret(f"rediss://127.0.0.1:{tls.port}/0"), access=tls.access())
        yield Shape(place=place, client=client)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Where a server speaks TLS, and what it takes to get in."""

    port: int
    ca_file: Path
    cert_file: Path
    key_file: Path

    def access(self) -> Access:
        return Access(
            username=USER,
            password=Secret(PASSWORD),
            tls=True,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
        )


@contextmanager
def tls_server(directory: Path, *more: str) -> Iterator[tuple[RedisServer, Tls]]:
    """It demands a client certificate on its TLS port; the plain port beside it is for who looks on. `more` options."""
    places = {name: directory / name for name in ("server", "client")}
    for place in places.values():
        place.mkdir()
        self_signed(place)
    port = free_port()
    options = {
        "tls-port": str(port),
        "tls-cert-file": str(places["server"] / "certificate.pem"),
        "tls-key-file": str(places["server"] / "key.pem"),
        "tls-ca-cert-file": str(places["client"] / "certificate.pem"),
        "tls-auth-clients": "yes",
    }
    listed = [text for name, value in options.items() for text in (f"--{name}", value)]
    with RedisServer(options=[*listed, *more]) as server:
        yield (
            server,
            Tls(
                port=port,
                ca_file=places["server"] / "certificate.pem",
                cert_file=places["client"] / "certificate.pem",
                key_file=places["client"] / "key.pem",
            ),
        )


@contextmanager
def sentinel() -> Iterator[Shape]:
    with SentinelGroup() as group:
        place = BySentinel(sentinels=group.addresses, master=MASTER)
        yield Shape(place=place, client=group.primary.client())


@contextmanager
def cluster() -> Iterator[Shape]:
    with ClusterGroup() as group:
        client: Any = group.client()  # of another class, with the same commands
        yield Shape(place=InCluster(nodes=group.addresses[:1]), client=client)


SHAPES: Mapping[str, Callable[[], AbstractContextManager[Shape]]] = {
    "standalone": standalone,
    "unix socket": unix_socket,
    "TLS and ACL": tls_and_acl,
    "Sentinel": sentinel,
    "Cluster": cluster,
}
