"""Redis as the configuration describes it: for the daemon, and for `check`."""

from dataclasses import dataclass

from refreshd.adapters.redis.connecting import Access, BySentinel, Direct, InCluster, Place
from refreshd.adapters.redis.inspection import inspect
from refreshd.adapters.system_clock import SystemClock
from refreshd.config.settings import RedisSettings
from refreshd.domain.secret import Secret
from refreshd.ports.publisher import PublisherUnavailable


def place_of(redis: RedisSettings) -> Place:
    """Where the configuration says that it is, and how it is spoken to there."""
    access = Access(
        username=redis.username,
        password=redis.password,
        tls=redis.tls,
        ca_file=redis.ca_file,
        cert_file=redis.cert_file,
        key_file=redis.key_file,
    )
    if redis.sentinels:
        return BySentinel(
            sentinels=[(one.host, one.port) for one in redis.sentinels],
            master=redis.sentinel_master,
            db=redis.db,
            access=access,
            sentinel_access=Access(
                username=redis.sentinel_username,
                password=redis.sentinel_password,
                tls=redis.sentinel_tls,
                ca_file=redis.sentinel_ca_file or redis.ca_file,
                cert_file=redis.sentinel_cert_file or redis.cert_file,
                key_file=redis.sentinel_key_file or (None if redis.sentinel_cert_file else redis.key_file),
            ),
        )
    if redis.cluster and redis.nodes:
        return InCluster(nodes=[(one.host, one.port) for one in redis.nodes], access=access)
    if redis.cluster:
        return InCluster(url=Secret(redis.url), access=access)
    return Direct(url=Secret(redis.url), access=access)


def _found_by(redis: RedisSettings) -> str:
    """The keys that say where it is; the other side's words say when it is a matter of users or certificates."""
    if redis.sentinels:
        return "redis.sentinels, redis.sentinel_master, and what else is for the Sentinels"
    return "redis.nodes" if redis.nodes else "redis.url"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisReport:
    """What would keep tokens from being published, and what would not go well."""

    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


async def check_redis(redis: RedisSettings, store_id: str | None) -> RedisReport:
    """Connects as the daemon would, and writes nothing. `store_id` None: our store is not made yet."""
    try:
        found = await inspect(place_of(redis), prefix=redis.key_prefix, clock=SystemClock())
    except PublisherUnavailable as exc:
        fault = f"Redis cannot be reached ({exc}); check {_found_by(redis)}. Refreshing goes on without it"
        return RedisReport(faults=(fault,))
    faults, notes = [], []
    if found.store_id is not None and found.store_id != store_id:
        faults.append(
            f"the keys {redis.key_prefix}:* in Redis are those of store {found.store_id}, ours is {store_id or 'new'}: nothing is "
            "published. Choose another redis.key_prefix, or take them over with `refreshd adopt --all`"
        )
    if found.evicting:
        notes.append(
            f"Redis drops keys when it is full (maxmemory-policy {found.evicting}), tokens among them; set noeviction"
        )
    if not found.may_ask:
        notes.append(
            "Redis refuses INFO to this user: a failover, and a Redis that may drop keys, are not noticed; allow +info "
            "(docs/redis.md)"
        )
    return RedisReport(faults=tuple(faults), notes=tuple(notes))
