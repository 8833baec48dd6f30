"""The object graph: the only place that names concrete classes. Configuration stops here."""

from refreshd.wiring.background import reseal
from refreshd.wiring.daemon import daemon
from refreshd.wiring.discovery import ProviderUnknown, Resolved, resolve, resolve_offline
from refreshd.wiring.live_check import check_live
from refreshd.wiring.machines import enrol
from refreshd.wiring.redis import check_redis
from refreshd.wiring.registrations import rate_shortfalls, registrations
from refreshd.wiring.store import OpenStore, daemon_runs, open_store, run_lock, state_directory

__all__ = [
    "OpenStore",
    "ProviderUnknown",
    "Resolved",
    "check_live",
    "check_redis",
    "daemon",
    "daemon_runs",
    "enrol",
    "open_store",
    "rate_shortfalls",
    "registrations",
    "reseal",
    "resolve",
    "resolve_offline",
    "run_lock",
    "state_directory",
]
