"""What the daemon does beside refreshing: revoking what was removed, and moving rows to the newest key."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.revocation import HttpRevocationEndpoint
from refreshd.adapters.observers import Observers
from refreshd.adapters.sql.resealing import SqlSealedRows
from refreshd.adapters.sql.revocations import SqlRevocations
from refreshd.adapters.sql.store import SqlStore
from refreshd.adapters.system_clock import draw
from refreshd.domain.client import Limits
from refreshd.domain.credential import ClientName
from refreshd.service.resealer import Resealer
from refreshd.service.revoker import Revoker
from refreshd.wiring.services import Services
from refreshd.wiring.store import OpenStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """Ticked every second. `on_duty`: whether this daemon revokes, of several on one store."""

    revoker: Revoker
    resealer: Resealer
    on_duty: Callable[[], bool]

    def tick(self) -> None:
        if self.on_duty():
            self.revoker.tick()
        self.resealer.tick()


def background(
    opened: OpenStore,
    store: SqlStore,
    services: Services,
    connections: Connections,
    *,
    limits: Mapping[ClientName, Limits],
    observer: Observers,
    owner: str,
    on_duty: Callable[[], bool],
) -> Background:
    """Make them, and have the supervisor run them. `owner`: this daemon among those on one store."""
    made = Background(
        revoker=Revoker(
            lambda: services.refresher.clients,
            limits,
            revocations=SqlRevocations(store.threads, opened.codec),
            endpoint=HttpRevocationEndpoint(connections, clock=opened.clock),
            observer=observer,
            clock=opened.clock,
            draw=draw,
        ),
        resealer=Resealer(
            ring=opened.sealer,
            rows=_sealed_rows(opened, store, owner=owner),
            observer=observer,
            busy=lambda: services.answers.storing > 0,
        ),
        on_duty=on_duty,
    )
    observer.add(made.resealer)
    services.supervisor.own("revoker", made.revoker.run)
    services.supervisor.own("resealer", made.resealer.run)
    return made


async def reseal(opened: OpenStore) -> None:
    """Move all rows to the ring's first key, in place of a daemon. Raises `StoreUnavailable`."""
    owner = "keys rotate"
    async with SqlStore(opened.engines, opened.codec, owner=owner) as store:
        await Resealer(
            ring=opened.sealer,
            rows=_sealed_rows(opened, store, owner=owner),
            observer=Observers([]),
            pause=lambda _seconds: asyncio.sleep(0),  # nobody else is there to give way to
        ).round()


def _sealed_rows(opened: OpenStore, store: SqlStore, *, owner: str) -> SqlSealedRows:
    return SqlSealedRows(
        store.threads,
        opened.codec,
        opened.sealer,
        opened.identity.environment,
        clock=opened.clock,
        engines=opened.engines,
        owner=owner,
    )
