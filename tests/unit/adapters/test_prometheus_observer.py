"""The metrics of contract §6: all there from the start, named by the rules, without a credential's id."""

import re
from collections.abc import Mapping
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from refreshd.adapters.prometheus.metrics import CAUSES
from refreshd.adapters.prometheus.observer import PrometheusObserver
from refreshd.domain.credential import ClientName, CredentialId, Reason
from refreshd.domain.events import (
    ClientResumed,
    ClientSuspended,
    CredentialRefreshed,
    Event,
    FiguresTaken,
    InFlightChanged,
    LimitTooLow,
    PublishedBatch,
    RefreshRequested,
    RefreshTokenOnly,
    ReloginRequired,
    RepublishStarted,
    RequestFinished,
    ResponsesUnpersisted,
    RevisionAhead,
    ScanFinished,
)
from refreshd.domain.figures import ClientFigures, Figures
from refreshd.domain.outcome import ANOMALIES
from refreshd.domain.requests import Verdict
from tests.fakes import START

ACME, OTHER = ClientName("acme"), ClientName("other")
NAME = CredentialId("the-credential-id")
ABOUT: dict[str, Any] = {"id": NAME, "client": ACME, "generation": 1}

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def observer() -> PrometheusObserver:
    return PrometheusObserver([ACME, OTHER], version="1.2.3", key_ids=["k1", "k2"])


def series(observer: PrometheusObserver) -> Series:
    families = text_string_to_metric_families(observer.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(observer: PrometheusObserver, name: str, **labels: str) -> float:
    return series(observer)["refreshd_" + name, frozenset(labels.items())]


def combinations(**choices: tuple[str, ...]) -> list[dict[str, str]]:
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


BOTH = ("acme", "other")
CONTRACT: dict[str, list[dict[str, str]]] = {
    "refreshes_total": combinations(
        client=BOTH, outcome=("refreshed", "deferred", "uncertain", "rejected", "misconfigured")
    ),
    "refresh_duration_seconds_count": combinations(client=BOTH),
    "refresh_lead_seconds_count": combinations(client=BOTH),
    "credentials": combinations(client=BOTH, status=("active", "relogin_required", "paused", "held")),
    "credentials_relogin_soon": combinations(client=BOTH),
    "access_tokens_expired": combinations(client=BOTH),
    "next_relogin_timestamp_seconds": combinations(client=BOTH),
    "due_credentials": [{}],
    "overdue_seconds": [{}],
    "in_flight_requests": combinations(client=BOTH),
    "in_doubt": combinations(client=BOTH),
    "rotations_lost_total": combinations(client=BOTH),
    "unpersisted_responses": [{}],
    "response_anomalies_total": combinations(client=BOTH, kind=ANOMALIES),
    "publish_lag_seconds_count": [{}],
    "publish_pending": [{}],
    "publishes_total": combinations(result=("written", "same", "stale", "failed")),
    "requests_total": combinations(result=("accepted", "stale", "unknown", "ignored", "limited", "malformed")),
    "republishes_total": combinations(
        reason=("started", "reconnected", "flushed", "server_changed", "clock_stepped", "adopted")
    ),
    "scan_last_success_timestamp_seconds": [{}],
    "clients_suspended": combinations(client=BOTH, cause=CAUSES),
    "grant_storms": combinations(client=BOTH),
    "rescued_tokens_total": combinations(client=BOTH),
    "clock_steps_total": [{}],
    "encrypted_rows": combinations(key_id=("k1", "k2")),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_every_series_of_the_contract_is_there_at_zero(observer: PrometheusObserver, name: str) -> None:
    """A rate over a series that appears with its first failure misses that failure."""
    found = {
        labels: number
        for (series_name, labels), number in series(observer).items()
        if series_name == f"refreshd_{name}"
    }
    assert dict.fromkeys((frozenset(labels.items()) for labels in CONTRACT[name]), 0.0) == found


def test_build_info_names_the_version(observer: PrometheusObserver) -> None:
    """Always 1, so that it can be joined."""
    assert 1.0 == value(observer, "build_info", version="1.2.3")


def test_names_and_help_follow_the_rules(observer: PrometheusObserver) -> None:
    """What promtool checks: help everywhere, _total for counters only, no type or abbreviated unit in a name."""
    families = list(text_string_to_metric_families(observer.exposition().decode()))
    ours = [one for one in families if one.name.startswith("refreshd_") and not one.name.endswith("_created")]
    assert len(ours) >= len(CONTRACT)
    for family in ours:
        assert family.documentation.endswith("."), family.name
        assert re.fullmatch(r"refreshd_[a-z]+(_[a-z]+)*", family.name)
        assert not re.search(r"_(counter|gauge|histogram|ms|millis|milliseconds|minutes)(_|$)", family.name)
        totals = {sample.name.endswith("_total") for sample in family.samples}
        if family.type == "counter":
            assert True in totals
        else:
            assert {False} == totals
        assert not {"le", "quantile"} & ({label for one in family.samples for label in one.labels} - {"le"})


def events() -> list[Event]:
    """Everything that the observer counts, once."""
    return [
        RequestFinished(client=ACME, outcome="refreshed", duration=timedelta(seconds=0.2)),
        CredentialRefreshed(
            **ABOUT,
            expires_at=START,
            refresh_at=None,
            lead=timedelta(seconds=-3),
            lifetime=timedelta(hours=1),
            anomalies=("expires_in_missing",),
        ),
        RefreshTokenOnly(**ABOUT, code="truncated_success", next_attempt_at=None, anomalies=("truncated_success",)),
        ReloginRequired(**ABOUT, code="invalid_grant", reason=Reason.ROTATION_LOST, next_attempt_at=None),
        ReloginRequired(**ABOUT, code="invalid_grant", reason=Reason.REFUSED, next_attempt_at=None),
        InFlightChanged(client=ACME, in_flight=7),
        ScanFinished(at=START, claimed=1),
        PublishedBatch(written=4, same=3, stale=2, failed=1, lags=(0.001, 4.0)),
        RepublishStarted(reason="flushed"),
        RefreshRequested(verdict=Verdict.LIMITED, count=999, id=NAME, generation=3),
        ResponsesUnpersisted(count=5),
        RevisionAhead(id=NAME, client=ACME, revision=9),
        LimitTooLow(client=ACME, needed_per_second=12.5, max_rate=10.0),
    ]


def test_each_event_is_counted_where_it_belongs(observer: PrometheusObserver) -> None:
    """One event, one place; the other client's series stay as they were."""
    for event in events():
        observer.on_event(event)
    acme = {"client": "acme"}
    expected = {
        ("refreshes_total", (("outcome", "refreshed"),)): 1,
        ("refresh_duration_seconds_sum", ()): 0.2,
        ("refresh_lead_seconds_count", ()): 1,
        ("refresh_lead_seconds_bucket", (("le", "0.0"),)): 1,
        ("refresh_lead_seconds_bucket", (("le", "-60.0"),)): 0,
        ("response_anomalies_total", (("kind", "expires_in_missing"),)): 1,
        ("response_anomalies_total", (("kind", "truncated_success"),)): 1,
        ("rotations_lost_total", ()): 1,
        ("in_flight_requests", ()): 7,
        ("rate_needed_per_second", ()): 12.5,
    }
    assert expected == {key: value(observer, key[0], **acme, **dict(key[1])) for key in expected}
    assert START.timestamp() == value(observer, "scan_last_success_timestamp_seconds")
    results = ("written", "same", "stale", "failed")
    assert [4, 3, 2, 1] == [value(observer, "publishes_total", result=result) for result in results]
    assert (2, 5) == (value(observer, "publish_lag_seconds_count"), value(observer, "unpersisted_responses"))
    assert (1, 0) == (
        value(observer, "republishes_total", reason="flushed"),
        value(observer, "republishes_total", reason="started"),
    )
    assert (999, 0) == (
        value(observer, "requests_total", result="limited"),
        value(observer, "requests_total", result="stale"),
    )
    others = {key: number for key, number in series(observer).items() if ("client", "other") in key[1]}
    assert len(others) > len(ANOMALIES)
    assert [] == [key for key, number in others.items() if number and not key[0].endswith("_created")]


def test_figures_replace_what_was_counted_before(observer: PrometheusObserver) -> None:
    """A status or key that no row has any more goes back to 0 instead of staying for ever."""
    first = Figures(
        clients={
            ACME: ClientFigures(
                by_status={"active": 5, "held": 1},
                relogin_soon=2,
                access_tokens_expired=3,
                in_doubt=4,
                next_relogin_at=START,
            )
        },
        due=6,
        overdue=timedelta(seconds=7),
        publish_pending=8,
        rows_by_key={"k1": 5, "forgotten": 1},
        last_commit_at=None,
    )
    gauges = ("credentials_relogin_soon", "access_tokens_expired", "in_doubt", "next_relogin_timestamp_seconds")
    observer.on_event(FiguresTaken(figures=first))
    assert [2, 3, 4, START.timestamp()] == [value(observer, name, client="acme") for name in gauges]
    assert [6, 7, 8] == [value(observer, name) for name in ("due_credentials", "overdue_seconds", "publish_pending")]
    assert (5, 1) == (
        value(observer, "credentials", client="acme", status="active"),
        value(observer, "encrypted_rows", key_id="forgotten"),
    )
    empty = Figures(clients={}, due=0, overdue=timedelta(0), publish_pending=0, rows_by_key={}, last_commit_at=None)
    observer.on_event(FiguresTaken(figures=empty))
    gone = [value(observer, name, client="acme") for name in gauges]
    gone.append(value(observer, "credentials", client="acme", status="held"))
    gone.append(value(observer, "encrypted_rows", key_id="forgotten"))
    assert [0.0] * 6 == gone


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        ("invalid_client", "invalid_client"),
        ("http_404", "wrong_endpoint"),
        ("new", "wrong_endpoint"),
        ("invalid_scope", "refused"),
        ("http_400", "refused"),
        ("metadata_refused", "metadata_refused"),
    ],
)
def test_a_suspended_client_is_shown_until_it_resumes(observer: PrometheusObserver, cause: str, shown: str) -> None:
    """A closed list of causes: a provider cannot make new series."""
    before = set(series(observer))
    observer.on_event(ClientSuspended(client=ACME, cause=cause, probe_at=START))
    assert 1.0 == value(observer, "clients_suspended", client="acme", cause=shown)
    assert before == set(series(observer))
    observer.on_event(ClientResumed(client=ACME, cause=cause))
    assert 0.0 == value(observer, "clients_suspended", client="acme", cause=shown)


def test_no_credential_is_named(observer: PrometheusObserver) -> None:
    """10,000 ids would be 10,000 series, and ids name people."""
    before = set(series(observer))
    for event in events():
        observer.on_event(event)
    assert NAME not in observer.exposition().decode()
    assert before == set(series(observer))


def test_two_observers_do_not_share_a_registry() -> None:
    """No module state: a test, a demo and a daemon may live in one process."""
    one = PrometheusObserver([ACME], version="1", key_ids=[])
    two = PrometheusObserver([ACME], version="1", key_ids=[])
    one.on_event(InFlightChanged(client=ACME, in_flight=1))
    assert 0.0 == value(two, "in_flight_requests", client="acme")
