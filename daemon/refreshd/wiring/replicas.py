"""What a daemon needs beside others on one database; on a SQLite store nothing of it exists."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from refreshd.adapters.spool import Spool
from refreshd.adapters.sql.database_clock import DatabaseClock
from refreshd.adapters.sql.engine import StoreRefused
from refreshd.adapters.sql.failover import Failover
from refreshd.adapters.sql.replicas import SqlReplicas
from refreshd.adapters.sql.spooling import Spooling
from refreshd.adapters.sql.store import SqlStore
from refreshd.config.rules import pause_of
from refreshd.config.settings import Settings
from refreshd.domain.events import StoreFailed
from refreshd.ports.observer import Observer
from refreshd.ports.store import StoreUnavailable
from refreshd.service.replica import Replica
from refreshd.service.resealer import Resealer
from refreshd.wiring.services import Services
from refreshd.wiring.store import OpenStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What the store works with there: the database's clock, the pause after a failover, the answers kept on this machine."""

    clock: DatabaseClock
    failover: Failover
    spooling: Spooling


@contextmanager
def sharing(settings: Settings, opened: OpenStore, observer: Observer, *, name: str) -> Iterator[Sharing | None]:
    """None for a store that has one owner. Closes the spool at the end. Raises `Refusal` when the spool cannot be used."""
    if not isinstance(opened.clock, DatabaseClock):
        yield None
        return
    if settings.store.spool_directory is None:
        raise StoreRefused("store.spool_directory is needed without $STATE_DIRECTORY and $HOME: a local directory")
    loop = asyncio.get_running_loop()

    def tell(error: str) -> None:  # called on the thread that commits
        loop.call_soon_threadsafe(observer.on_event, StoreFailed(doing="spool", error=error))

    spool = Spool(settings.store.spool_directory, owner=name, clock=opened.clock.boottime)
    try:
        yield Sharing(
            clock=opened.clock,
            failover=Failover(opened.clock, pause=pause_of(settings)),
            spooling=Spooling(spool, opened.codec, on_fault=tell),
        )
    finally:
        spool.close()


def replica(
    shared: Sharing, opened: OpenStore, store: SqlStore, services: Services, *, name: str, observer: Observer
) -> Replica:
    """Make this daemon one among others, and have the supervisor run its signs of life."""
    made = Replica(
        replicas=SqlReplicas(
            opened.engines,
            store.threads.writer,
            name=name,
            sealer=opened.sealer,
            clock=shared.clock,
            failover=shared.failover,
            spooling=shared.spooling,
        ),
        observer=observer,
        share=services.throttle.share,
        on_return=services.guard.look_again,
    )
    services.supervisor.own("replica", made.run)
    services.housekeeping.only_when(lambda: made.on_duty)
    return made


async def join(one: Replica, resealer: Resealer, observer: Observer) -> None:
    """The first sign of life. Until one succeeds nothing is claimed: a replica that stands still may have locked what it needs."""
    try:
        await resealer.take_up()  # until the others have our first key we seal with theirs
        await one.round()
    except StoreUnavailable as exc:
        observer.on_event(StoreFailed(doing="sign of life", error=str(exc)))
