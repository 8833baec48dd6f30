"""A whole world on virtual time: providers, a network, Redis, a machine with the real daemon on a real SQLite file, people.

What is promised is watched in `simulated.watch` and `simulated.inspection`; what goes wrong is drawn in `simulated.weather`. This
file puts them together.
"""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.grant import Grant
from refreshd.domain.secret import Secret
from refreshd.domain.steps import Step
from tests.programme.simulated.houses import HOUSES, House
from tests.programme.simulated.inspection import ROWS, Inspection
from tests.programme.simulated.keyspace import KEYS, Server
from tests.programme.simulated.life import Died
from tests.programme.simulated.machine import Machine
from tests.programme.simulated.network import Provider
from tests.programme.simulated.watch import EVERYBODY, Watch
from tests.programme.simulated.weather import CALM, Climate, arrivals, storm_of
from tests.programme.virtual_time import Timeline, VirtualLoop

MEMORY = Path("/dev/shm")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
LOOKED_AT_IN_A_MINUTE = 100


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory in memory where there is one."""
    where = MEMORY if MEMORY.is_dir() else None
    path = Path(tempfile.mkdtemp(prefix="refreshd-world-", dir=where))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    credentials: int
    days: float


class World:
    """Everything, from one seed. Use `run`, or `pass_time` and the verbs one by one."""

    def __init__(
        self, directory: Path, *, seed: str, scale: Scale, climate: Climate = CALM, houses: Sequence[House] = HOUSES
    ) -> None:
        self.chance = random.Random(f"{seed}/world")
        self.loop = VirtualLoop()
        self.timeline = Timeline(self.loop)
        self.watch = Watch(self.timeline)
        self.scale, self.climate = scale, climate
        self.houses = {house.name: house for house in houses}
        self.providers = {
            name: Provider(
                house=house,
                timeline=self.timeline,
                loop=self.loop,
                chance=random.Random(f"{seed}/{name}"),
                judged=self.watch.judged,
            )
            for name, house in self.houses.items()
        }
        self.watch.providers = self.providers
        self.server = Server(self.timeline, random.Random(f"{seed}/redis"))
        self.machine = Machine(
            directory,
            loop=self.loop,
            timeline=self.timeline,
            houses=self.houses,
            providers=self.providers,
            server=self.server,
            watch=self.watch,
            chance=random.Random(f"{seed}/machine"),
        )
        self.loop.set_exception_handler(self._loop_failed)
        self.ids: list[str] = []
        self.owners: dict[str, ClientName] = {}
        self.calm = False
        self.inspection = Inspection(
            timeline=self.timeline,
            machine=self.machine,
            server=self.server,
            watch=self.watch,
            providers=self.providers,
            owners=self.owners,
        )
        self._look_every = MINUTE * max(1, scale.credentials / LOOKED_AT_IN_A_MINUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.machine.life.alive = False
        self.loop.run_until_complete(_end_all())
        self.loop.close()
        self.machine.store.close()

    # Time

    def pass_time(self, seconds: float) -> None:
        """Everything that happens within that much of the world's time."""
        driver = self.loop.create_task(self._until(self.timeline.now + seconds))
        self.machine.drive(driver)  # before its first turn: whoever comes before it may die
        self.loop.run_until_complete(driver)

    async def _until(self, end: float) -> None:
        while self.timeline.now < end - 1e-6:
            await asyncio.sleep(min(self._look_every, end - self.timeline.now))
            self._log_in_again()
            self.inspection.look()

    def pass_until(self, met: Callable[[], bool], *, most: float) -> bool:
        """Let time pass in small pieces until something holds. False: it did not within that time."""
        end = self.timeline.now + most
        while not met() and self.timeline.now < end:
            self.pass_time(0.02)
        return met()

    def in_flight(self) -> bool:
        """Whether a first byte has left and its answer is not stored."""
        return self.watch.in_flight > 0

    def connecting(self) -> bool:
        """Whether a claimed attempt has not sent its first byte."""
        services = self.machine.services
        return services is not None and services.pool.in_flight > self.watch.in_flight

    # People

    def log_in(self, name: str, client: ClientName, *, replace: bool = False) -> None:
        """A person signs in, and what the provider returned is imported."""
        provider, now = self.providers[client], self.machine.clock.now()
        fields = provider.ledger.log_in(client, at=provider.at)
        grant = Grant(
            id=CredentialId(name),
            client=client,
            refresh_token=Secret(str(fields["refresh_token"])),
            access_token=Secret(str(fields["access_token"])),
            token_type="bearer",
            scope=str(fields["scope"]),
            issued_at=now,
            expires_at=now + timedelta(seconds=int(str(fields["expires_in"]))),
            login_at=now,
        )
        if self.row(name) is None:  # forgotten, or never known: it begins anew
            for key in (KEYS.status(name), KEYS.token(name)):
                self.server.highest.pop(key, None)
        importer = self.machine.importer
        checked = importer.check([grant], replace=replace)
        if checked.refusals:
            raise AssertionError(checked.refusals)
        importer.write([grant], replace=replace, now=now, progress=lambda _count: None)
        if name not in self.owners:
            self.ids.append(name)
            self.owners[name] = client
        self.watch.note("login", name)
        self.machine.nudge()

    def settle_in(self, *, within: float = HOUR) -> None:
        """Credentials, spread over the clients by their shares, log in within that time."""
        drawn = [name for house in self.houses.values() for name in [house.name] * house.share]
        for number in range(self.scale.credentials):
            client = drawn[number % len(drawn)]
            self.timeline.at(self.chance.uniform(0.0, within), partial(self.log_in, f"{client}/{number}", client))

    def _log_in_again(self) -> None:
        """People who were told to sign in do so, some time later."""
        for name, since in list(self.watch.condemned.items()):
            if self.timeline.now - since > 2 * HOUR and self._is_condemned(name):
                self.watch.counts["signed in again"] += 1
                self.log_in(name, self.owners[name], replace=True)
                del self.watch.condemned[name]

    def _is_condemned(self, name: str) -> bool:
        row = self.row(name)
        return row is not None and row["removed_at"] is None and row["health"] == "relogin_required"

    def row(self, name: str) -> Any:
        return self.machine.store.view.execute(f"{ROWS} WHERE id = ?", (name,)).fetchone()

    def rows(self, where: str) -> list[Any]:
        return self.machine.store.view.execute(f"{ROWS} WHERE {where}").fetchall()

    # Weather

    def begin(self) -> None:
        """The daemon starts; the weather is drawn."""
        for provider in self.providers.values():
            provider.faults.mix(self.climate.mixture)
            provider.way.refused, provider.way.slow = self.climate.refused, self.climate.slow
        for at, name in arrivals(self.climate.phases, self.chance, until=self.scale.days * DAY):
            self.timeline.at(at, partial(self._befall, name))
        self.loop.run_until_complete(self.machine.boot())

    def clear_up(self) -> None:
        """All faults end, and whatever is down starts."""
        self.calm = True
        for provider in self.providers.values():
            provider.faults.clear()
            provider.way.refused = provider.way.slow = provider.way.unreachable_until = 0.0
        self.server.down_until = min(self.server.down_until, self.timeline.now)
        self.server.half = False
        self.machine.life.disk_full = False
        self.machine.life.doom = self.machine.doom = None
        self.machine.downtime = 0.05
        self.watch.trouble(EVERYBODY, "clearings")
        self.loop.run_until_complete(self.machine.boot())
        self.machine.alert()

    def _befall(self, name: str) -> None:
        if not self.calm:
            self.machine.alert()
            getattr(self, "_" + name.replace(" ", "_"))()

    def _crashes(self) -> None:
        self.machine.die("crashes")

    def _crashes_at_a_step(self) -> None:
        self.machine.life.doom = (self.chance.choice(list(Step)), self.chance.randint(1, 3))

    def _restarts(self) -> None:
        self.watch.trouble(EVERYBODY, "restarts", lasts=60.0)
        self.machine.stop()

    def _long_stops(self) -> None:
        self.machine.downtime = self.chance.uniform(10 * MINUTE, 3 * HOUR)
        self.machine.die("long stops")

    def _outages(self) -> None:
        provider, lasts = self._some_provider(), self.chance.choice((MINUTE, 10 * MINUTE, 30 * MINUTE, 2 * HOUR))
        self.watch.trouble(provider.house.name, "outages", lasts=lasts)
        if self.chance.random() < 0.5:
            provider.way.unreachable_until = self.timeline.now + lasts
        else:
            provider.faults.storm(storm_of("outages", self.chance, until=self.timeline.now + lasts))

    def _storms_of_refusals(self) -> None:
        self._storm("storms of refusals", self.chance.uniform(MINUTE, 30 * MINUTE))

    def _invalid_client_phases(self) -> None:
        self._storm("invalid_client phases", self.chance.uniform(MINUTE, 40 * MINUTE))

    def _grant_storms(self) -> None:
        self._storm("grant storms", self.chance.uniform(5 * MINUTE, 2 * HOUR))

    def _storm(self, kind: str, lasts: float) -> None:
        provider = self._some_provider()
        self.watch.trouble(provider.house.name, kind, lasts=lasts)
        provider.faults.storm(storm_of(kind, self.chance, until=self.timeline.now + lasts))

    def _redis_outages(self) -> None:
        self.watch.counts["redis outages"] += 1
        self.server.lose(self.chance.choice((3.0, MINUTE, HOUR)))

    def _redis_flushes(self) -> None:
        self.watch.counts["redis flushes"] += 1
        self.server.flush()

    def _clock_steps(self) -> None:
        by = self.chance.choice((-1, 1)) * self.chance.choice((10.0, MINUTE, HOUR, DAY))
        self.step_clock(by)

    def step_clock(self, by: float) -> None:
        self.watch.trouble(EVERYBODY, "clock steps")
        self.watch.stepped(by, up=self.machine.up)
        self.machine.leave_a_mark()
        self.machine.clock.step(by)
        self._go_on()

    def _suspensions(self) -> None:
        lasts = self.chance.choice((30.0, 5 * MINUTE, 2 * HOUR))
        self.loop.call_soon(lambda: self.suspend(lasts))

    def suspend(self, lasts: float) -> None:
        self.watch.trouble(EVERYBODY, "suspensions", lasts=lasts)
        self.timeline.suspend(lasts)
        self._go_on()

    def _freezes(self) -> None:
        lasts = self.chance.choice((5.0, 100.0, 10 * MINUTE))
        self.loop.call_soon(lambda: self.freeze(lasts))

    def freeze(self, lasts: float) -> None:
        self.watch.trouble(EVERYBODY, "freezes", lasts=lasts)
        self.timeline.freeze(self.loop, lasts)
        self._go_on()

    def _go_on(self) -> None:
        """What is published is compared again when the daemon has had time to see what happened."""
        self.inspection.stood_still_until = self.timeline.now
        self.machine.alert()

    def _full_disks(self) -> None:
        self.fill_disk(self.chance.uniform(2.0, 5 * MINUTE))

    def fill_disk(self, lasts: float) -> None:
        self.watch.trouble(EVERYBODY, "full disks", lasts=lasts)
        life = self.machine.life
        life.disk_full = True
        self.timeline.after(lasts, lambda: setattr(life, "disk_full", False))

    def _some_provider(self) -> Provider:
        return self.providers[self.chance.choice(sorted(self.providers))]

    def _loop_failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        if not isinstance(exc, Died):
            self.watch.broken(f"{context.get('message')}: {exc!r}")

    def run(self, going: Callable[[], bool] = lambda: True) -> None:
        """The whole life of this world: people come, weather passes, then all is well for a while."""
        self.settle_in()
        self.begin()
        end = self.scale.days * DAY
        while self.timeline.now < end and going():
            self.pass_time(min(HOUR, end - self.timeline.now))
        self.end_well()

    def end_well(self) -> None:
        """All faults end, and a quarter of an hour later whatever lives must be fresh."""
        self.clear_up()
        self.pass_time(15 * MINUTE)
        self.inspection.look_at_the_end()


async def _end_all() -> None:
    """A drain answers its cancellation by draining: cancel until all have ended."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=1.0)
