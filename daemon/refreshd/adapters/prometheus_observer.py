"""Events as metrics (contract: Metrics). Every label combination exists from the start; children are kept, not looked up."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from refreshd.domain.credential import ClientName, Reason, Status
from refreshd.domain.events import (
    ClientResumed,
    ClientSuspended,
    ClockStepped,
    CredentialRefreshed,
    CredentialRevoked,
    Event,
    FiguresTaken,
    GrantStormBegan,
    GrantStormEnded,
    InFlightChanged,
    KeyRowsCounted,
    LimitTooLow,
    MissingKeysCounted,
    PublishedBatch,
    RefreshRequested,
    RefreshTokenOnly,
    ReloginRequired,
    RepublishStarted,
    RequestFinished,
    ResponsesUnpersisted,
    RevisionAhead,
    RevocationDeferred,
    RevocationFailed,
    RevocationsCounted,
    ScanFinished,
    StormsCounted,
    TokenRescued,
)
from refreshd.domain.figures import ClientFigures, Figures
from refreshd.domain.outcome import ANOMALIES, OUTCOME_LABELS
from refreshd.domain.requests import Verdict
from refreshd.domain.token_response import REJECTIONS, SLOW_REJECTIONS

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
_REFUSALS = REJECTIONS | SLOW_REJECTIONS | {"unknown_error", "http_400", "http_401", "http_403", "http_4xx"}
"""What is refused to a client that asks for itself, where there is no credential to blame."""
REPUBLISH_REASONS = ("started", "reconnected", "flushed", "server_changed", "clock_stepped", "adopted")
REVOCATION_RESULTS = ("revoked", "deferred", "failed")
STATUSES = (Status.ACTIVE, Status.RELOGIN_REQUIRED, Status.PAUSED, Status.HELD)
_LEAD_BUCKETS = (-3600, -60, 0, 1, 5, 15, 30, 60, 120, 180, 240, 300, 360, 480, 600, 1800)
_DURATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 90)
_LAG_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30, 60, 300)


class PrometheusObserver:
    """Counts what it is told, in a registry of its own; `exposition` is what a scrape reads, without any query."""

    def __init__(self, clients: Sequence[ClientName], *, version: str, key_ids: Sequence[str]) -> None:
        self._clients = clients
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._counters(version)
        self._gauges(key_ids)
        self._histograms()

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)

    def on_event(self, event: Event) -> None:
        match event:
            case RequestFinished():
                self._refreshes[event.client, event.outcome].inc()
                self._duration[event.client].observe(event.duration.total_seconds())
            case CredentialRefreshed():
                if event.lead is not None:
                    self._lead[event.client].observe(event.lead.total_seconds())
                self._count_anomalies(event.client, event.anomalies)
            case RefreshTokenOnly():
                self._count_anomalies(event.client, event.anomalies)
            case ReloginRequired(reason=Reason.ROTATION_LOST):
                self._rotations_lost[event.client].inc()
            case InFlightChanged():
                self._in_flight[event.client].set(event.in_flight)
            case ScanFinished():
                self._last_scan.set(event.at.timestamp())
            case PublishedBatch():
                self._on_published(event)
            case FiguresTaken():
                self._on_figures(event.figures)
            case _:
                self._on_rare(event)

    def _on_rare(self, event: Event) -> None:
        match event:
            case ClientSuspended() | ClientResumed():
                self._on_suspension(event)
            case GrantStormBegan() | GrantStormEnded() | StormsCounted():
                self._on_storm(event)
            case RefreshRequested():
                self._requests[event.verdict].inc(event.count)
            case RepublishStarted():
                self._republishes[event.reason].inc()
            case ResponsesUnpersisted():
                self._unpersisted.set(event.count)
            case RevisionAhead():
                self._revisions_ahead.inc()
            case LimitTooLow():
                self._rate_needed[event.client].set(event.needed_per_second)
            case TokenRescued():
                self._rescued[event.client].inc()
            case ClockStepped():
                self._clock_steps.inc()
            case _:
                self._on_work_beside(event)

    def _on_work_beside(self, event: Event) -> None:
        match event:
            case KeyRowsCounted():
                self._on_key_rows(event.rows_by_key)
            case MissingKeysCounted():
                self._rows_without_key.set(event.rows)
            case CredentialRevoked() | RevocationDeferred() | RevocationFailed() | RevocationsCounted():
                self._on_revocation(event)
            case _:
                pass

    def _on_suspension(self, event: ClientSuspended | ClientResumed) -> None:
        known = ""
        if isinstance(event, ClientSuspended):
            known = "refused" if event.cause in _REFUSALS else "wrong_endpoint"
            known = event.cause if event.cause in CAUSES else known
        for cause in CAUSES:
            self._suspended[event.client, cause].set(int(cause == known))

    def _on_storm(self, event: GrantStormBegan | GrantStormEnded | StormsCounted) -> None:
        if isinstance(event, StormsCounted):
            for client in self._clients:
                self._storms[client].set(int(client in event.clients))
            return
        self._storms[event.client].set(int(isinstance(event, GrantStormBegan)))

    def _count_anomalies(self, client: ClientName, anomalies: Sequence[str]) -> None:
        for kind in anomalies:
            self._anomalies[client, kind].inc()

    def _on_published(self, event: PublishedBatch) -> None:
        for result in ("written", "same", "stale", "failed"):
            self._publishes[result].inc(getattr(event, result))
        for lag in event.lags:
            self._lag.observe(lag)

    def _on_figures(self, figures: Figures) -> None:
        self._due.set(figures.due)
        self._overdue.set(figures.overdue.total_seconds())
        self._pending.set(figures.publish_pending)
        self._on_key_rows(figures.rows_by_key)
        for client in self._clients:
            self._on_client_figures(client, figures.clients.get(client, ClientFigures()))

    def _on_key_rows(self, rows_by_key: Mapping[str, int]) -> None:
        for key_id in {*self._rows_by_key_seen, *rows_by_key}:
            self._rows_by_key_seen.add(key_id)
            self._rows_by_key.labels(key_id).set(rows_by_key.get(key_id, 0))

    def _on_revocation(
        self, event: CredentialRevoked | RevocationDeferred | RevocationFailed | RevocationsCounted
    ) -> None:
        match event:
            case RevocationsCounted():
                for client in self._clients:
                    self._revocations_pending[client].set(event.pending.get(client, 0))
            case CredentialRevoked():
                self._count_revocation(event.client, "revoked")
            case RevocationDeferred():
                self._count_revocation(event.client, "deferred")
            case RevocationFailed():
                self._count_revocation(event.client, "failed")

    def _count_revocation(self, client: ClientName, result: str) -> None:
        if (client, result) in self._revocations:  # a client may have left the configuration meanwhile
            self._revocations[client, result].inc()

    def _on_client_figures(self, client: ClientName, figures: ClientFigures) -> None:
        for status in STATUSES:
            self._credentials[client, status.value].set(figures.by_status.get(status.value, 0))
        self._soon[client].set(figures.relogin_soon)
        self._expired[client].set(figures.access_tokens_expired)
        self._in_doubt[client].set(figures.in_doubt)
        self._next_relogin[client].set(_timestamp(figures.next_relogin_at))

    def _counters(self, version: str) -> None:
        self._refreshes = self._pairs(
            Counter("refreshd_refreshes", "Token requests by outcome.", ("client", "outcome"), registry=self._registry),
            OUTCOME_LABELS,
        )
        self._rotations_lost = self._each(
            Counter(
                "refreshd_rotations_lost",
                "Logins lost because an answer was lost in doubt.",
                ("client",),
                registry=self._registry,
            )
        )
        self._anomalies = self._pairs(
            Counter("refreshd_response_anomalies", "Odd token responses.", ("client", "kind"), registry=self._registry),
            ANOMALIES,
        )
        publishes = Counter("refreshd_publishes", "Writes to Redis by result.", ("result",), registry=self._registry)
        self._publishes = {result: publishes.labels(result) for result in ("written", "same", "stale", "failed")}
        republishes = Counter(
            "refreshd_republishes", "Times everything was published again.", ("reason",), registry=self._registry
        )
        self._republishes = {reason: republishes.labels(reason) for reason in REPUBLISH_REASONS}
        requests = Counter("refreshd_requests", "What consumers asked for.", ("result",), registry=self._registry)
        self._requests = {verdict: requests.labels(verdict.value) for verdict in Verdict}
        self._rescued = self._each(
            Counter(
                "refreshd_rescued_tokens",
                "Refresh tokens put aside because their row had changed hands.",
                ("client",),
                registry=self._registry,
            )
        )
        self._revocations = self._pairs(
            Counter(
                "refreshd_revocations",
                "Refresh tokens shown to the revocation endpoint, by result.",
                ("client", "result"),
                registry=self._registry,
            ),
            REVOCATION_RESULTS,
        )
        self._clock_steps = Counter("refreshd_clock_steps", "Jumps of the wall clock.", registry=self._registry)
        self._revisions_ahead = Counter(
            "refreshd_revisions_ahead",
            "Revisions found in Redis that the store never wrote.",
            registry=self._registry,
        )
        build = Gauge("refreshd_build_info", "Always 1; the version as a label.", ("version",), registry=self._registry)
        build.labels(version).set(1)

    def _gauges(self, key_ids: Sequence[str]) -> None:
        self._credentials = self._pairs(
            self._gauge("credentials", "Stored credentials.", "client", "status"), tuple(s.value for s in STATUSES)
        )
        self._soon = self._each(self._gauge("credentials_relogin_soon", "Near the end of their login.", "client"))
        self._expired = self._each(self._gauge("access_tokens_expired", "Active, but expired.", "client"))
        self._next_relogin = self._each(
            self._gauge("next_relogin_timestamp_seconds", "The first deadline for a person; 0 when none.", "client")
        )
        self._in_flight = self._each(self._gauge("in_flight_requests", "Token requests under way.", "client"))
        self._in_doubt = self._each(self._gauge("in_doubt", "Credentials whose last answer is missing.", "client"))
        self._rate_needed = self._each(
            self._gauge("rate_needed_per_second", "Refreshes needed where max_rate is too low, else 0.", "client")
        )
        self._suspended = self._pairs(
            self._gauge("clients_suspended", "1 while a client is suspended.", "client", "cause"), CAUSES
        )
        self._storms = self._each(
            self._gauge("grant_storms", "1 while so many are refused that nobody is condemned.", "client")
        )
        self._revocations_pending = self._each(
            self._gauge("revocations_pending", "Refresh tokens that wait to be revoked.", "client")
        )
        self._due = self._gauge("due_credentials", "Credentials due now.")
        self._overdue = self._gauge("overdue_seconds", "How long the longest of them has been due.")
        self._unpersisted = self._gauge("unpersisted_responses", "Answers that the store has not taken yet.")
        self._pending = self._gauge("publish_pending", "Credentials whose newest revision Redis has not seen.")
        self._last_scan = self._gauge("scan_last_success_timestamp_seconds", "When the store was last scanned.")
        self._rows_by_key = self._gauge("encrypted_rows", "Rows by the key that sealed them.", "key_id")
        self._rows_without_key = self._gauge("rows_without_key", "Rows under keys that are not in this key ring.")
        self._rows_by_key_seen = set(key_ids)
        for key_id in key_ids:
            self._rows_by_key.labels(key_id)

    def _histograms(self) -> None:
        self._duration = self._each(
            Histogram(
                "refreshd_refresh_duration_seconds",
                "Token request to read answer.",
                ("client",),
                registry=self._registry,
                buckets=_DURATION_BUCKETS,
            )
        )
        self._lead = self._each(
            Histogram(
                "refreshd_refresh_lead_seconds",
                "Life left in the old access token when the new one was stored; 0 or less is late.",
                ("client",),
                registry=self._registry,
                buckets=_LEAD_BUCKETS,
            )
        )
        self._lag = Histogram(
            "refreshd_publish_lag_seconds", "Stored to visible in Redis.", registry=self._registry, buckets=_LAG_BUCKETS
        )

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"refreshd_{name}", text, labels, registry=self._registry)

    def _each(self, metric: M) -> Mapping[ClientName, M]:
        return {client: metric.labels(client) for client in self._clients}

    def _pairs(self, metric: M, values: Sequence[str]) -> Mapping[tuple[str, str], M]:
        return {(client, value): metric.labels(client, value) for client in self._clients for value in values}


def _timestamp(instant: datetime | None) -> float:
    return instant.astimezone(UTC).timestamp() if instant else 0.0
