"""What people do to a running daemon: the commands' own store operations, logins, backups. Each says what it did, or nothing."""

from dataclasses import dataclass

from refreshd.adapters.sql.inventory import Selection
from refreshd.domain.credential import ClientName
from tests.programme.world import World


@dataclass(frozen=True, slots=True)
class _Backup:
    """A copy of the store, and how often Redis had been emptied by then."""

    store: bytes
    flushes: int
    taken_at: float


class Operator:
    """Works on one world. Every verb returns whether it changed anything."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._backup: _Backup | None = None
        self._flushes = 0

    @property
    def ids(self) -> list[str]:
        return self._world.ids

    def pause(self, name: str) -> bool:
        return self._switch("pause", name)

    def resume(self, name: str) -> bool:
        return self._switch("resume", name)

    def remove(self, name: str) -> bool:
        """What Redis keeps of it lives for a day; a backup restored later knows it, and Redis does not."""
        self._backup = None
        return self._switch("remove", name)

    def resume_all(self) -> None:
        for name in self.ids:
            self.resume(name)

    def mark_due(self, name: str) -> bool:
        machine = self._world.machine
        changed = machine.inventory.mark_due(name, now=machine.clock.now())
        machine.nudge()
        return changed

    def replace(self, name: str) -> bool:
        """A person logs in again, whatever became of the earlier login; also of one that was removed."""
        self._world.log_in(name, self._world.owners[name], replace=True)
        return True

    def adopt(self) -> bool:
        """End all holds. The tokens may be old ones, so whatever comes of it is the operator's doing."""
        world = self._world
        for row in world.rows("health = 'held' AND removed_at IS NULL"):
            provider = world.providers[ClientName(row["client"])]
            family = provider.ledger.family_of(world.inspection.stored_token(row))
            world.watch.disturbed(row["id"])
            if family is not None:
                world.watch.risked(provider, family)
                world.watch.forget(world.inspection.stored_token(row))
        changed = world.machine.inventory.adopt(None, now=world.machine.clock.now()) > 0
        world.machine.nudge()
        return changed

    def adopt_keys(self) -> bool:
        """Take over another store's keys in Redis."""
        world = self._world
        foreign = world.server.meta not in (None, world.machine.identity.store_id)
        if foreign:
            world.machine.inventory.adopt_keys(now=world.machine.clock.now())
            world.machine.alert()
        return foreign

    def end_storm(self, client: ClientName) -> bool:
        machine = self._world.machine
        self._world.watch.storm_over(client)
        return machine.inventory.end_storm(client, now=machine.clock.now())

    def revoke(self, name: str) -> bool:
        """A person withdraws consent at the provider."""
        world = self._world
        row = world.row(name)
        if row is None or row["refresh_token"] is None:
            return False
        provider = world.providers[ClientName(row["client"])]
        family = provider.ledger.family_of(world.inspection.stored_token(row))
        if family is None or not family.alive:
            return False
        provider.ledger.revoke(family.id, at=provider.at)
        return True

    def flush_redis(self) -> None:
        self._flushes += 1
        self.blind_redis()
        self._world.server.flush()
        self._world.machine.alert()

    def blind_redis(self) -> None:
        """Redis cannot be asked, or has forgotten: an old store is not recognised any more (the rule's known gap)."""
        watch = self._world.watch
        watch.blind = watch.blind or watch.restored_at > 0

    def back_up(self) -> None:
        self._backup = _Backup(self._world.machine.store.copy(), self._flushes, self._world.timeline.now)

    def restore(self) -> bool:
        """Start from a backup that Redis has outrun. Without what is published nobody could know (the rule's known gap)."""
        world, backup = self._world, self._backup
        seen = world.server.up and world.server.meta == world.machine.identity.store_id
        if backup is None or backup.flushes != self._flushes or not seen or world.server.half:
            return False
        if any(row["published_revision"] < row["revision"] for row in world.rows("1")):
            return False
        world.machine.downtime = 1.0
        world.machine.die("deaths for a restore")
        world.machine.restore(backup.store)
        world.watch.restored()
        world.watch.stepped_at = world.timeline.now  # the backup may come from before a step back
        world.server.highest.clear()
        return True

    def _switch(self, verb: str, name: str) -> bool:
        machine = self._world.machine
        changed: int = getattr(machine.inventory, verb)(Selection(id=name), now=machine.clock.now())
        self._world.watch.disturbed(name)
        machine.nudge()
        return changed > 0
