"""Events as metrics: which of `metrics` each event moves."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from prometheus_client import generate_latest

from refreshd.adapters.prometheus.metrics import CAUSES, PUBLISH_RESULTS, STATUSES, Metrics
from refreshd.domain.credential import ClientName, Reason
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
from refreshd.domain.token_response import REJECTIONS, SLOW_REJECTIONS

_REFUSALS = REJECTIONS | SLOW_REJECTIONS | {"unknown_error", "http_400", "http_401", "http_403", "http_4xx"}
"""What is refused to a client that asks for itself, where there is no credential to blame."""


class PrometheusObserver:
    """Counts what it is told, in a registry of its own; `exposition` is what a scrape reads, without any query."""

    def __init__(self, clients: Sequence[ClientName], *, version: str, key_ids: Sequence[str]) -> None:
        self._clients = clients
        self._metrics = Metrics(clients, version=version, key_ids=key_ids)
        self._key_ids_seen = set(key_ids)

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._metrics.registry)

    def on_event(self, event: Event) -> None:
        match event:
            case RequestFinished():
                self._metrics.refreshes[event.client, event.outcome].inc()
                self._metrics.duration[event.client].observe(event.duration.total_seconds())
            case CredentialRefreshed():
                if event.lead is not None:
                    self._metrics.lead[event.client].observe(event.lead.total_seconds())
                self._count_anomalies(event.client, event.anomalies)
            case RefreshTokenOnly():
                self._count_anomalies(event.client, event.anomalies)
            case ReloginRequired(reason=Reason.ROTATION_LOST):
                self._metrics.rotations_lost[event.client].inc()
            case InFlightChanged():
                self._metrics.in_flight[event.client].set(event.in_flight)
            case ScanFinished():
                self._metrics.last_scan.set(event.at.timestamp())
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
                self._metrics.requests[event.verdict].inc(event.count)
            case RepublishStarted():
                self._metrics.republishes[event.reason].inc()
            case ResponsesUnpersisted():
                self._metrics.unpersisted.set(event.count)
            case RevisionAhead():
                self._metrics.revisions_ahead.inc()
            case LimitTooLow():
                self._metrics.rate_needed[event.client].set(event.needed_per_second)
            case TokenRescued():
                self._metrics.rescued[event.client].inc()
            case ClockStepped():
                self._metrics.clock_steps.inc()
            case _:
                self._on_work_beside(event)

    def _on_work_beside(self, event: Event) -> None:
        match event:
            case KeyRowsCounted():
                self._on_key_rows(event.rows_by_key)
            case MissingKeysCounted():
                self._metrics.rows_without_key.set(event.rows)
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
            self._metrics.suspended[event.client, cause].set(int(cause == known))

    def _on_storm(self, event: GrantStormBegan | GrantStormEnded | StormsCounted) -> None:
        if isinstance(event, StormsCounted):
            for client in self._clients:
                self._metrics.storms[client].set(int(client in event.clients))
            return
        self._metrics.storms[event.client].set(int(isinstance(event, GrantStormBegan)))

    def _count_anomalies(self, client: ClientName, anomalies: Sequence[str]) -> None:
        for kind in anomalies:
            self._metrics.anomalies[client, kind].inc()

    def _on_published(self, event: PublishedBatch) -> None:
        for result in PUBLISH_RESULTS:
            self._metrics.publishes[result].inc(getattr(event, result))
        for lag in event.lags:
            self._metrics.lag.observe(lag)

    def _on_figures(self, figures: Figures) -> None:
        self._metrics.due.set(figures.due)
        self._metrics.overdue.set(figures.overdue.total_seconds())
        self._metrics.pending.set(figures.publish_pending)
        self._on_key_rows(figures.rows_by_key)
        for client in self._clients:
            self._on_client_figures(client, figures.clients.get(client, ClientFigures()))

    def _on_key_rows(self, rows_by_key: Mapping[str, int]) -> None:
        for key_id in {*self._key_ids_seen, *rows_by_key}:
            self._key_ids_seen.add(key_id)
            self._metrics.rows_by_key.labels(key_id).set(rows_by_key.get(key_id, 0))

    def _on_revocation(
        self, event: CredentialRevoked | RevocationDeferred | RevocationFailed | RevocationsCounted
    ) -> None:
        match event:
            case RevocationsCounted():
                for client in self._clients:
                    self._metrics.revocations_pending[client].set(event.pending.get(client, 0))
            case CredentialRevoked():
                self._count_revocation(event.client, "revoked")
            case RevocationDeferred():
                self._count_revocation(event.client, "deferred")
            case RevocationFailed():
                self._count_revocation(event.client, "failed")

    def _count_revocation(self, client: ClientName, result: str) -> None:
        if (client, result) in self._metrics.revocations:  # a client may have left the configuration meanwhile
            self._metrics.revocations[client, result].inc()

    def _on_client_figures(self, client: ClientName, figures: ClientFigures) -> None:
        for status in STATUSES:
            self._metrics.credentials[client, status.value].set(figures.by_status.get(status.value, 0))
        self._metrics.soon[client].set(figures.relogin_soon)
        self._metrics.expired[client].set(figures.access_tokens_expired)
        self._metrics.in_doubt[client].set(figures.in_doubt)
        self._metrics.next_relogin[client].set(_timestamp(figures.next_relogin_at))


def _timestamp(instant: datetime | None) -> float:
    return instant.astimezone(UTC).timestamp() if instant else 0.0
