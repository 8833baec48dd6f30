"""What every run of several daemons on one PostgreSQL stands on: database, Redis, ledger provider, and one installation for all."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from refreshd.demo.faults import Latency
from refreshd.demo.grants import Rules
from refreshd.demo.provider import ProviderThread
from tests.components.postgres_server import PostgresServer
from tests.components.redis_server import RedisServer
from tests.programme.daemons.installation import Installation, MarkedLedger, names
from tests.programme.daemons.lateness import Heartbeat
from tests.programme.daemons.processes import ForkServer
from tests.programme.sharing.judge import Attempt

_IN_FLIGHT = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`heartbeat` tells how late the provider was itself."""

    server: PostgresServer
    provider: ProviderThread
    installation: Installation
    heartbeat: Heartbeat

    def attempts(self) -> list[Attempt]:
        """The whole attempt log."""
        rows = self.server.ask(
            "SELECT credential_id, owner, generation, started_at / 1e6, ended_at / 1e6, outcome, code FROM attempt_log",
            database=self.installation.url.rpartition("/")[2],
        )
        return [
            Attempt(
                credential=str(name),
                owner=str(owner),
                generation=int(str(generation)),
                started_at=float(str(started)),
                ended_at=float(str(ended)),
                outcome=str(outcome),
                code=str(code),
            )
            for name, owner, generation, started, ended, outcome, code in rows
        ]


@contextmanager
def scene(
    *, scheduler: Mapping[str, str | int], credentials: int, lifetime: float, latency: Latency, due: bool = False
) -> Iterator[Scene]:
    """Everything started but the daemons, and `credentials` logged in. `lifetime`: of an access token, in seconds.

    `latency`: of each answer from then on. `due`: all are due at once.
    """
    with (
        tempfile.TemporaryDirectory(prefix="sharing-") as directory,
        PostgresServer() as server,
        RedisServer() as redis,
        ForkServer() as fork,
        ProviderThread(MarkedLedger(Rules(access_lifetime=lifetime))) as provider,
    ):
        installation = Installation(
            directory=Path(directory),
            server=fork,
            provider=provider,
            redis_url=redis.url,
            scheduler=scheduler,
            lifetime=lifetime,
            url=server.database(),
            in_flight=_IN_FLIGHT,
        )
        installation.log_in(names(credentials), due=due)
        heartbeat = Heartbeat(provider)
        provider.mix((1.0, latency))
        yield Scene(server=server, provider=provider, installation=installation, heartbeat=heartbeat)
