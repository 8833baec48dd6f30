"""The metrics themselves (contract: Metrics): names, help texts, labels, buckets. What moves them stands in `observer`.

Every label combination exists from the start, so that a rate over one that has not happened yet is 0 and not absent; the children
are kept, not looked up at every event.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from refreshd.domain.credential import ClientName, Status
from refreshd.domain.outcome import ANOMALIES, OUTCOME_LABELS
from refreshd.domain.requests import Verdict

M = TypeVar("M", Counter, Gauge, Histogram)

CAUSES = (
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "certificate",
    "wrong_endpoint",
    "refused",
    "metadata_unreachable",
    "metadata_missing",
    "metadata_refused",
)
PUBLISH_RESULTS = ("written", "same", "stale", "failed")
REPUBLISH_REASONS = ("started", "reconnected", "flushed", "server_changed", "clock_stepped", "adopted")
REVOCATION_RESULTS = ("revoked", "deferred", "failed")
STATUSES = (Status.ACTIVE, Status.RELOGIN_REQUIRED, Status.PAUSED, Status.HELD)
_LEAD_BUCKETS = (-3600, -60, 0, 1, 5, 15, 30, 60, 120, 180, 240, 300, 360, 480, 600, 1800)
_DURATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 90)
_LAG_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30, 60, 300)


class Metrics:
    """All metrics of one daemon, in a `registry` of their own. With labels: a mapping from them to the child."""

    def __init__(self, clients: Sequence[ClientName], *, version: str, key_ids: Sequence[str]) -> None:
        self._clients = clients
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._count_requests()
        self._count_work()
        self._gauge_clients()
        self._gauge_daemon(version, key_ids)
        self._time()

    def _count_requests(self) -> None:
        self.refreshes = self._pairs(
            self._counter("refreshes", "Token requests by outcome.", "client", "outcome"), OUTCOME_LABELS
        )
        self.rotations_lost = self._each(
            self._counter("rotations_lost", "Logins lost because an answer was lost in doubt.", "client")
        )
        self.anomalies = self._pairs(
            self._counter("response_anomalies", "Odd token responses.", "client", "kind"), ANOMALIES
        )
        self.rescued = self._each(
            self._counter("rescued_tokens", "Refresh tokens put aside because their row had changed hands.", "client")
        )
        self.revocations = self._pairs(
            self._counter(
                "revocations", "Refresh tokens shown to the revocation endpoint, by result.", "client", "result"
            ),
            REVOCATION_RESULTS,
        )

    def _count_work(self) -> None:
        publishes = self._counter("publishes", "Writes to Redis by result.", "result")
        self.publishes = {result: publishes.labels(result) for result in PUBLISH_RESULTS}
        republishes = self._counter("republishes", "Times everything was published again.", "reason")
        self.republishes = {reason: republishes.labels(reason) for reason in REPUBLISH_REASONS}
        requests = self._counter("requests", "What consumers asked for.", "result")
        self.requests = {verdict: requests.labels(verdict.value) for verdict in Verdict}
        self.clock_steps = self._counter("clock_steps", "Jumps of the wall clock.")
        self.revisions_ahead = self._counter("revisions_ahead", "Revisions found in Redis that the store never wrote.")

    def _gauge_clients(self) -> None:
        self.credentials = self._pairs(
            self._gauge("credentials", "Stored credentials.", "client", "status"), tuple(s.value for s in STATUSES)
        )
        self.soon = self._each(self._gauge("credentials_relogin_soon", "Near the end of their login.", "client"))
        self.expired = self._each(self._gauge("access_tokens_expired", "Active, but expired.", "client"))
        self.next_relogin = self._each(
            self._gauge("next_relogin_timestamp_seconds", "The first deadline for a person; 0 when none.", "client")
        )
        self.in_flight = self._each(self._gauge("in_flight_requests", "Token requests under way.", "client"))
        self.in_doubt = self._each(self._gauge("in_doubt", "Credentials whose last answer is missing.", "client"))
        self.rate_needed = self._each(
            self._gauge("rate_needed_per_second", "Refreshes needed where max_rate is too low, else 0.", "client")
        )
        self.suspended = self._pairs(
            self._gauge("clients_suspended", "1 while a client is suspended.", "client", "cause"), CAUSES
        )
        self.storms = self._each(
            self._gauge("grant_storms", "1 while so many are refused that nobody is condemned.", "client")
        )
        self.revocations_pending = self._each(
            self._gauge("revocations_pending", "Refresh tokens that wait to be revoked.", "client")
        )

    def _gauge_daemon(self, version: str, key_ids: Sequence[str]) -> None:
        self._gauge("build_info", "Always 1; the version as a label.", "version").labels(version).set(1)
        self.due = self._gauge("due_credentials", "Credentials due now.")
        self.overdue = self._gauge("overdue_seconds", "How long the longest of them has been due.")
        self.unpersisted = self._gauge("unpersisted_responses", "Answers that the store has not taken yet.")
        self.pending = self._gauge("publish_pending", "Credentials whose newest revision Redis has not seen.")
        self.last_scan = self._gauge("scan_last_success_timestamp_seconds", "When the store was last scanned.")
        self.rows_by_key = self._gauge("encrypted_rows", "Rows by the key that sealed them.", "key_id")
        self.rows_without_key = self._gauge("rows_without_key", "Rows under keys that are not in this key ring.")
        for key_id in key_ids:
            self.rows_by_key.labels(key_id)

    def _time(self) -> None:
        self.duration = self._each(
            Histogram(
                "refreshd_refresh_duration_seconds",
                "Token request to read answer.",
                ("client",),
                registry=self.registry,
                buckets=_DURATION_BUCKETS,
            )
        )
        self.lead = self._each(
            Histogram(
                "refreshd_refresh_lead_seconds",
                "Life left in the old access token when the new one was stored; 0 or less is late.",
                ("client",),
                registry=self.registry,
                buckets=_LEAD_BUCKETS,
            )
        )
        self.lag = Histogram(
            "refreshd_publish_lag_seconds", "Stored to visible in Redis.", registry=self.registry, buckets=_LAG_BUCKETS
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"refreshd_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"refreshd_{name}", text, labels, registry=self.registry)

    def _each(self, metric: M) -> Mapping[ClientName, M]:
        return {client: metric.labels(client) for client in self._clients}

    def _pairs(self, metric: M, values: Sequence[str]) -> Mapping[tuple[str, str], M]:
        return {(client, value): metric.labels(client, value) for client in self._clients for value in values}
