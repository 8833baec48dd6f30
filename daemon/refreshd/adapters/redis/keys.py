"""What stands in Redis, key by key (contract: Redis, for consumers). Pure: snapshots in, fields out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from refreshd.domain.credential import Status
from refreshd.ports.publisher import Snapshot

SCHEMA = "1"
TOMBSTONE_LIFE = timedelta(hours=24)
EVENTS_CAP = 10_000
ANY = -1
"""Instead of a generation: whatever may be there is written over."""

# KEYS[1] the hash; ARGV[1] revision, ARGV[2] generation (-1: any), ARGV[3] life in ms (0: for ever), then field, value, ...
# 0: what is there is newer, by its revision or, as a restored store may count past that, by its generation.
COMPARE_AND_SET = """
local there = redis.call('HMGET', KEYS[1], 'revision', 'generation')
local function counter(text)
  if text and #text <= 15 and string.find(text, '^%d+$') then return tonumber(text) end
end
local revision, generation = counter(there[1]), counter(there[2])
local mine = tonumber(ARGV[1])
if revision and revision > mine then return 0 end
if generation and tonumber(ARGV[2]) >= 0 and generation > tonumber(ARGV[2]) then return 0 end
if revision == mine then return 2 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
if tonumber(ARGV[3]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Write:
    """One hash to set if what is there is older. `generation`: as in the hash, or `ANY`. `life` None: the key stays."""

    key: str
    revision: int
    generation: int
    fields: Mapping[str, str]
    life: timedelta | None

    def arguments(self) -> list[str]:
        """KEYS and ARGV of the script."""
        life = 0 if self.life is None else self.life // timedelta(milliseconds=1)
        pairs = [text for pair in self.fields.items() for text in pair]
        return [self.key, str(self.revision), str(self.generation), str(life), *pairs]


@dataclass(frozen=True, slots=True)
class Keyspace:
    """Key names under one prefix."""

    prefix: str

    @property
    def meta(self) -> str:
        return f"{self.prefix}:meta"

    @property
    def events(self) -> str:
        return f"{self.prefix}:events"

    @property
    def requests(self) -> str:
        return f"{self.prefix}:requests"

    @property
    def relogin(self) -> str:
        return f"{self.prefix}:relogin"

    def token(self, credential_id: str) -> str:
        return f"{self.prefix}:token:{credential_id}"

    def status(self, credential_id: str) -> str:
        return f"{self.prefix}:status:{credential_id}"

    def token_write(self, snapshot: Snapshot, now: datetime) -> Write | None:
        """The token with exactly the life it has left, its tombstone, or nothing: a life of 0 or less is never written.

        `now`: by the clock that the snapshot's instants go by. Whatever that says, no life is longer than the whole one.
        """
        if snapshot.withdrawn:
            return Write(
                self.token(snapshot.id), snapshot.revision, snapshot.generation, _counters(snapshot), TOMBSTONE_LIFE
            )
        access = snapshot.access
        if access is None or access.expires_at is None:
            return None
        life = access.expires_at - max(now, access.issued_at)
        if life < timedelta(milliseconds=1):
            return None
        fields = {
            "access_token": access.value.reveal(),
            "token_type": access.token_type,
            "scope": snapshot.scope,
            "expires_at": _unix(access.expires_at),
            "issued_at": _unix(access.issued_at),
            "client": snapshot.client,
            **_counters(snapshot),
        }
        return Write(self.token(snapshot.id), snapshot.revision, snapshot.generation, fields, life)

    def status_write(self, snapshot: Snapshot) -> Write:
        key = self.status(snapshot.id)
        if snapshot.status is Status.REMOVED:
            return Write(key, snapshot.revision, snapshot.generation, _counters(snapshot), TOMBSTONE_LIFE)
        fields = {
            "status": snapshot.status.value,
            "relogin_soon": str(int(snapshot.relogin_soon)),
            "relogin_by": _unix(snapshot.relogin_by),
            "in_doubt": str(int(snapshot.in_doubt)),
            "reason": snapshot.reason.value if snapshot.reason else "",
            "next_refresh_at": _unix(snapshot.next_refresh_at),
            "updated_at": _unix(snapshot.updated_at),
            **_counters(snapshot),
        }
        return Write(key, snapshot.revision, snapshot.generation, fields, None)


def relogin_score(snapshot: Snapshot) -> float | None:
    """When a person is needed: since its death, or by its deadline; None when nobody is."""
    if snapshot.status is Status.REMOVED:
        return None
    if snapshot.relogin_since is not None:
        return int(snapshot.relogin_since.timestamp())
    if snapshot.relogin_soon and snapshot.relogin_by is not None:
        return int(snapshot.relogin_by.timestamp())
    return None


def event_fields(snapshot: Snapshot, kind: str) -> dict[str, str]:
    """One entry of the stream; never a token."""
    expires_at = snapshot.access.expires_at if snapshot.access else None
    return {
        "type": kind,
        "id": snapshot.id,
        "client": snapshot.client,
        "generation": str(snapshot.generation),
        "expires_at": _unix(expires_at),
    }


def _counters(snapshot: Snapshot) -> dict[str, str]:
    return {"generation": str(snapshot.generation), "revision": str(snapshot.revision), "schema": SCHEMA}


def _unix(instant: datetime | None) -> str:
    return "" if instant is None else str(int(instant.timestamp()))
