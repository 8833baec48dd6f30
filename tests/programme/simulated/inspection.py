"""The dear invariants of a world: what is published against what is stored, every look, and at the end whether all is fresh."""

from collections.abc import Mapping, Sequence
from typing import Any

from refreshd.domain.credential import ClientName
from tests.programme.simulated.keyspace import KEYS, Entry, Server
from tests.programme.simulated.machine import Machine
from tests.programme.simulated.network import Provider
from tests.programme.simulated.store import MICROS
from tests.programme.simulated.watch import SLACK, Watch, usable
from tests.programme.virtual_time import Timeline

PUBLISHED_WITHIN = 2.0
SEEN_WITHIN = 8.0  # a flush is noticed by a look every five seconds
ROWS = (
    "SELECT id, client, revision, published_revision, generation, paused, health, removed_at, expires_at, updated_at,"
    " in_doubt, attempt_id, refresh_token, next_attempt_at, lane, failures, last_outcome, last_code FROM credential"
)


class Inspection:
    """`owners`: the client of every credential that ever logged in. `stood_still_until`: the last stop or step of a clock."""

    def __init__(
        self,
        *,
        timeline: Timeline,
        machine: Machine,
        server: Server,
        watch: Watch,
        providers: Mapping[ClientName, Provider],
        owners: Mapping[str, ClientName],
    ) -> None:
        self._timeline, self._machine, self._server = timeline, machine, server
        self._watch, self._providers, self._owners = watch, providers, owners
        self.stood_still_until = 0.0

    def look(self) -> None:
        """Once a virtual minute, of a thousand credentials every ten minutes: each instant is read once, not for every row."""
        self._look_for_dead_tokens()
        if self._server.went_back:
            self._watch.broken(f"published revisions went back: {self._server.went_back}")
            self._server.went_back.clear()
        if self._quiet():
            now = self._now()
            for row in self._rows():
                self._look_at_published(row, now)

    def look_at_the_end(self) -> None:
        """After all faults have ended, whatever lives is fresh, and consumers have tokens that work."""
        now = self._now()
        for row in self._rows():
            if row["removed_at"] is not None or row["paused"] or row["health"] == "held":
                continue
            if not usable(self._providers[ClientName(row["client"])], self.stored_token(row)):
                self._watch.counts["dead at the end"] += 1
                continue
            self._watch.counts["alive at the end"] += 1
            if now - row["updated_at"] / MICROS < PUBLISHED_WITHIN or self._is_late_for_a_reason(row, now):
                continue
            self._look_whether_fresh(row, now)

    def stored_token(self, row: Any) -> str:
        return self._machine.store.codec.open(row["refresh_token"], "refresh_token", row["id"]).reveal()

    def _rows(self) -> Sequence[Any]:
        return self._machine.store.view.execute(ROWS).fetchall()

    def _now(self) -> float:
        return self._machine.clock.now().timestamp()

    def _quiet(self) -> bool:
        """Whether what is published must equal what is stored: everything has been up for long enough."""
        up_for = self._timeline.now - max(self._machine.up_since, self.stood_still_until)
        ours = self._server.meta == self._machine.identity.store_id
        return self._machine.up and ours and up_for > SEEN_WITHIN and self._server.healthy_for > SEEN_WITHIN

    def _look_for_dead_tokens(self) -> None:
        """No expired token can be read: it goes by the life it was given, whatever our clock says."""
        at = next(iter(self._providers.values())).at  # one time for all of them
        for name, entry in self._server.readable(self._owners):
            ledger = self._providers[self._owners[name]].ledger
            family = ledger._access.get(entry.fields["access_token"])
            if family is None or at <= family.access_expires_at + PUBLISHED_WITHIN:
                continue
            age = at - family.access_expires_at + ledger.rules.access_lifetime
            unseen = not self._watch.step_is_seen  # it stood still since, and the next look corrects it
            if unseen or self._dated_by_an_unseen_step(age):
                self._watch.counts["looks at tokens dated by a clock that went back unseen"] += 1
            else:
                self._watch.broken(f"{name}: an expired token can be read")

    def _dated_by_an_unseen_step(self, age: float) -> bool:
        """Whether a token of that age came before a step back that is shorter than the stop it fell into: it does not show."""
        return age >= self._timeline.now - self._watch.stepped_at - SLACK

    def _look_at_published(self, row: Any, now: float) -> None:
        """Within two seconds Redis says what the store says, and what was withdrawn is gone."""
        name = row["id"]
        if abs(now - row["updated_at"] / MICROS) <= PUBLISHED_WITHIN:
            return
        status = self._server.get(KEYS.status(name))
        forgotten = status is None and row["removed_at"] is not None  # a tombstone lives for a day
        shown = forgotten or (status is not None and status.revision == row["revision"])
        if status is not None and status.generation > row["generation"] and self._watch.restored_at > 0:
            return  # an old store that met Redis too late: set aside when the request under way has ended
        if row["published_revision"] != row["revision"] or not shown:
            self._watch.broken(f"{name}: revision {row['revision']} is not published: {status}")
        if not self._watch.blind:  # else it goes on as another store would: equal revisions may say different things
            self._look_at_token(row, self._server.get(KEYS.token(name)), now)

    def _look_at_token(self, row: Any, token: Entry | None, now: float) -> None:
        name = row["id"]
        readable = token is not None and "access_token" in token.fields
        withdrawn = row["paused"] or row["removed_at"] is not None or row["health"] == "relogin_required"
        alive = row["expires_at"] is not None and row["expires_at"] / MICROS > now + 1
        if readable and withdrawn:
            self._watch.broken(f"{name}: a withdrawn token can be read")
        if readable or withdrawn or not alive or row["health"] != "active":
            return
        life = self._providers[self._owners[name]].ledger.rules.access_lifetime
        if not self._dated_by_an_unseen_step(life + self._watch.stepped_by):
            self._watch.broken(f"{name}: a living token is not published")

    def _look_whether_fresh(self, row: Any, now: float) -> None:
        name, provider = row["id"], self._providers[ClientName(row["client"])]
        entry = self._server.get(KEYS.token(name))
        access = entry.fields.get("access_token", "") if entry else ""
        fresh = row["health"] == "active" and row["expires_at"] is not None and row["expires_at"] / MICROS > now
        family = provider.ledger.family_of(self.stored_token(row))
        if fresh and family is not None and self._watch.has_replaced(provider, family):
            self._watch.counts["access tokens replaced by a late request, at the end"] += 1
        elif not fresh or not provider.ledger.accepts(access, at=provider.at):
            self._watch.broken(f"{name}: not fresh after all faults have ended: {dict(row) | {'refresh_token': '-'}}")

    def _is_late_for_a_reason(self, row: Any, now: float) -> bool:
        """Two known prices: a storm that nobody could see as one, and a clock that went back while nobody ran."""
        in_vain = row["health"] == "relogin_required" and row["id"] in self._watch.condemned_in_vain
        ahead = row["expires_at"] is not None and row["expires_at"] / MICROS > now
        misdated = ahead and self._watch.stepped_at > 0
        self._watch.counts["condemned in vain, not healed at the end"] += in_vain
        self._watch.counts["dated by a clock that went back unseen, at the end"] += misdated
        return in_vain or misdated
