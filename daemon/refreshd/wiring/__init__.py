"""The object graph: the only place that names concrete classes. Configuration stops here."""

from refreshd.wiring.background import reseal
from refreshd.wiring.daemon import daemon
from refreshd.wiring.registrations import rate_shortfalls, registrations
from refreshd.wiring.store import OpenStore, open_store, run_lock

__all__ = ["OpenStore", "daemon", "open_store", "rate_shortfalls", "registrations", "reseal", "run_lock"]
