"""The host: one store file, one life of the daemon after another, and the ticker that APScheduler is in the product."""

import asyncio
import math
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from refreshd.adapters.sql.importer import Importer, Registered
from refreshd.adapters.sql.inventory import Inventory
from refreshd.adapters.sql.migrate import Migrated
from refreshd.adapters.sql.schema import HEAD
from refreshd.domain.credential import ClientName
from refreshd.domain.events import DoubtsFound, Event
from refreshd.domain.requests import RequestLimits
from refreshd.domain.steps import Step
from refreshd.ports.requests import Entry
from refreshd.service.refresher import Registration
from refreshd.wiring.daemon import proven, stopped_long
from refreshd.wiring.services import Measures, Ports, Services, assemble
from refreshd.wiring.store import OpenStore
from tests.programme.simulated.endpoint import SimEndpoint
from tests.programme.simulated.houses import House
from tests.programme.simulated.keyspace import Server, SimPublisher
from tests.programme.simulated.life import Died, Life
from tests.programme.simulated.network import Provider
from tests.programme.simulated.store import MICROS, PENDING, StoreFile, WatchedStore
from tests.programme.simulated.watch import Watch
from tests.programme.virtual_time import SimClock, Timeline, VirtualLoop

TICK = 1.0
ROUNDING = 1e-6
ALERT = 12.0
HOUSEKEEPING = 30.0
HOUSEKEEPING_IDLE = 1800.0
SILENCE = timedelta(hours=12)
NEXT_DUE = "SELECT min(next_attempt_at) FROM credential WHERE paused = 0 AND next_attempt_at IS NOT NULL"


class Unasked:
    """`Requests` in a world whose consumers ask for nothing."""

    async def read(self, *, wait: timedelta) -> Sequence[Entry]:  # noqa: ARG002 - nobody comes, however long
        await asyncio.Event().wait()
        return ()

    async def strike(self, entries: Sequence[Entry]) -> None:
        raise AssertionError(f"{len(entries)} entries that were never read")


class Teller:
    """`Observer` of one life."""

    def __init__(self, watch: Watch, life: Life, clock: SimClock) -> None:
        self._watch, self._life, self._clock = watch, life, clock

    def on_event(self, event: Event) -> None:
        if self._life.alive:
            if isinstance(event, DoubtsFound):
                self._watch.counts["doubts found at start"] += event.count
            self._watch.on_event(event, self._clock.now())


class Machine:
    """Boots the daemon on its store, ticks it, kills it. All instants are virtual.

    The ticker keeps the grid of one second but passes over seconds in which a tick would find nothing: nothing due, nothing
    unpublished that could be published, nothing disturbed within the last twelve seconds. The order of events stays as with
    every tick. Housekeeping comes every half minute while there is trouble and every half hour else, not every five
    seconds, so a warning of a coming login is that much later.
    """

    def __init__(
        self,
        directory: Path,
        *,
        loop: VirtualLoop,
        timeline: Timeline,
        houses: Mapping[ClientName, House],
        providers: Mapping[ClientName, Provider],
        server: Server,
        watch: Watch,
        chance: random.Random,
    ) -> None:
        self._loop, self.timeline = loop, timeline
        self._providers, self._server, self._watch, self._chance = providers, server, watch, chance
        self.clock = SimClock(timeline, loop)
        self.registrations = {name: house.registration() for name, house in houses.items()}
        self._limits = {name: house.limits for name, house in houses.items()}
        self.store = StoreFile(directory)
        self.identity = self.store.identify(self.clock.now())
        self.life = Life()
        self.life.alive = False
        self.services: Services | None = None
        self.starts = 0
        self.up_since = 0.0
        self.doom: tuple[Step, int] | None = None
        self.downtime = 0.0
        self._boots = 0
        self._buried: Life | None = None
        self._main: asyncio.Task[int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._alert_until = 0.0
        self._kept_at = 0.0
        self._driver: asyncio.Task[Any] | None = None

    # The operator's side

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.store.engines.read, self.store.engines.write, self.store.codec)

    @property
    def importer(self) -> Importer:
        registered = {
            name: Registered(policy=one.policy, scope="offline read") for name, one in self.registrations.items()
        }
        store = self.store
        return Importer(store.engines.write, store.codec, self.identity, registered, draw=self._chance.random)

    # Lives

    @property
    def up(self) -> bool:
        return self.life.alive and self.services is not None

    async def boot(self) -> None:
        """Start the daemon as its wiring does. A death on the way is followed by another boot."""
        if self.life.alive:
            return
        self._boots += 1
        life = self.life = Life(on_death=lambda: self._loop.call_soon(self._died_at_a_step, self.life))
        life.doom, self.doom = self.doom, None
        try:
            await self._start(life)
        except Died:
            self._bury(life)

    async def _start(self, life: Life) -> None:
        self.identity = self.store.identify(self.clock.now())
        registered = self._registered()
        observer = Teller(self._watch, life, self.clock)
        store = WatchedStore(self.store, owner=f"p{self._boots}", life=life, watch=self._watch)
        publisher = SimPublisher(self._server, store_id=self.identity.store_id, alive=life.check)
        services = assemble(
            Ports(
                store=store,
                endpoint=SimEndpoint(self._providers, clock=self.clock, life=life, watch=self._watch),
                publisher=publisher,
                requests=Unasked(),
                observer=observer,
                clock=self.clock,
                draw=self._chance.random,
                reached=life.reached,
            ),
            registered,
            self._limits,
            Measures(
                scan_interval=SILENCE,  # only the patience with a silent ticker hangs on it, and ours is silent when idle
                drain_timeout=timedelta(seconds=60),
                concurrency=64,
                store_id=self.identity.store_id,
                request_limits=RequestLimits(per_credential=timedelta(minutes=5), in_all=timedelta(seconds=1)),
            ),
            on_missed_tick=lambda: self._watch.broken("a tick was missed"),
        )
        services.publication._pause = publisher.pause
        await services.timekeeper.begin(self.identity.last_commit_at)
        if stopped_long(self.identity, self.clock, registered):
            services.throttle.start_slowly("long_stop")
        doubts = await store.recover(
            now=self.clock.now(), settle_delays={name: one.policy.settle_delay for name, one in registered.items()}
        )
        if doubts:
            observer.on_event(DoubtsFound(count=doubts))
        self.services, self.up_since = services, self.timeline.now
        self.starts += 1
        self._main = self._loop.create_task(services.supervisor.run(), name="supervisor")
        self._main.add_done_callback(lambda task: self._ended(task, life))
        self.alert()

    def die(self, cause: str) -> None:
        """`kill -9`, now. What is under way at the provider goes on there."""
        if self.life.alive:
            self._watch.counts[cause] += 1
            self.life.alive = False
            self._bury(self.life)

    def stop(self) -> None:
        """SIGTERM: a drain, then the end."""
        if self.up and self.services is not None:
            self.services.supervisor.stop("SIGTERM")

    def _died_at_a_step(self, life: Life) -> None:
        """Its remains are cleared away outside its own tasks."""
        self._watch.counts[f"died at {life.died_at}"] += 1
        self._bury(life)

    def _ended(self, task: "asyncio.Task[int]", life: Life) -> None:
        if task.cancelled() or not life.alive:
            if not task.cancelled():
                task.exception()
            return
        if task.exception() is not None or task.result() != 0:
            self._watch.broken(f"the daemon ended by itself: {task.exception() or task.result()}")
        life.alive = False
        self._bury(life)

    def _bury(self, life: Life) -> None:
        if life is not self.life:
            return
        if self._buried is life:
            return
        self._buried = life
        self.leave_a_mark()
        self.services = None
        self._watch.note("died")
        self._watch.died()
        self._watch.trouble("everybody", "deaths", lasts=self.downtime)
        if self._timer is not None:
            self._timer.cancel()
        for task in asyncio.all_tasks(self._loop):
            if task is not self._driver:
                task.add_done_callback(_retrieve)
                task.cancel()
        self.timeline.after(max(self.downtime, 0.01), lambda: _own(self._loop.create_task(self.boot())))
        self.downtime = self._chance.choice((0.05, 0.5, 2.0, 5.0, 30.0))

    def leave_a_mark(self) -> None:
        """The sign of life that housekeeping leaves each minute, where idle minutes were skipped: half a minute old."""
        if self.services is not None and not self.life.disk_full:
            mark = int((self.clock.now().timestamp() - 30.0) * MICROS)
            self.store.view.execute("UPDATE store SET last_commit_at = max(coalesce(last_commit_at, 0), ?)", (mark,))

    # Ticks

    def alert(self) -> None:
        """Something happened that is not in the store: tick every second for a while."""
        self._alert_until = self.timeline.now + ALERT
        self.nudge()

    def nudge(self) -> None:
        """The store was changed from outside: look again at the next second."""
        if self.up:
            self._arm(TICK)

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        second = math.floor(self._loop.time() + ROUNDING)
        self._timer = self._loop.call_at(second + seconds, self._tick)

    def _tick(self) -> None:
        services = self.services
        if services is None:
            return
        due_in = self._due_in()
        alert = self.timeline.now < self._alert_until
        keeps = self.timeline.now - self._kept_at >= (HOUSEKEEPING if alert else HOUSEKEEPING_IDLE)
        if keeps or alert or due_in <= 0 or (self._server.up and self.store.view.execute(PENDING).fetchone()[0]):
            services.scanner.tick()
            services.publication.wake()
        if keeps:
            self._kept_at = self.timeline.now
            services.housekeeping.tick()
        busy = alert or due_in <= 0 or services.pool.in_flight
        self._arm(TICK if busy else min(HOUSEKEEPING_IDLE, float(int(due_in)) + TICK))

    def _due_in(self) -> float:
        """Seconds until the next row is due by the wall clock, at most what housekeeping waits when idle."""
        due = self.store.view.execute(NEXT_DUE).fetchone()[0]
        return HOUSEKEEPING_IDLE if due is None else due / MICROS - self.clock.now().timestamp()

    def restore(self, copy: bytes) -> None:
        """Put a backup of the store back while the daemon is down."""
        if self.life.alive:
            raise AssertionError("a store is restored while nobody runs on it")
        self.store.restore(copy)

    def _registered(self) -> dict[ClientName, Registration]:
        opened = OpenStore(
            engines=self.store.engines,
            codec=self.store.codec,
            sealer=self.store.sealer,
            clock=self.clock,
            identity=self.identity,
            migrated=Migrated(before=HEAD, after=HEAD),
        )
        return proven(dict(self.registrations), opened)

    def drive(self, driver: "asyncio.Task[Any]") -> None:
        """The one task that no death touches."""
        self._driver = driver


def _retrieve(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()


_booting: set["asyncio.Task[None]"] = set()


def _own(task: "asyncio.Task[None]") -> None:
    _booting.add(task)
    task.add_done_callback(_booting.discard)
