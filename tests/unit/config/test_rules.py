"""Rules between keys: each broken one is told with both its sides in numbers, and the defaults break none."""

from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.config.rules import pause_of
from tests.unit.config.configurations import CLIENT, faults, loaded, only_fault


def test_the_defaults_keep_every_rule(tmp_path: Path) -> None:
    """241 s < 300 s, 100 s < 150 s: nothing to warn of."""
    assert () == loaded(tmp_path, CLIENT).warnings


def test_two_scans_fit_into_the_margin(tmp_path: Path) -> None:
    """Otherwise a token could expire between two looks."""
    text = '[scheduler]\nscan_interval = "150s"\nrefresh_before_expiry = "5m"'
    assert only_fault(tmp_path, text) == (
        'scheduler.refresh_before_expiry = "5m": must be longer than 2 x scan_interval (2 x 150s = 5m)'
    )
    loaded(tmp_path, text.replace("150s", "149s"))


def test_the_margin_is_shorter_than_half_of_each_clients_lifetime(tmp_path: Path) -> None:
    """Otherwise a token would be refreshed as soon as it was stored, for ever."""
    text = CLIENT + 'access_token_lifetime = "10m"\n[clients.beta]\nclient_id = "b"\naccess_token_lifetime = "601s"'
    assert only_fault(tmp_path, text) == (
        'clients.acme.access_token_lifetime = "10m": half of it (5m) must be longer than scheduler.refresh_before_expiry (5m)'
    )


def test_the_presets_lifetime_counts_too(tmp_path: Path) -> None:
    """The rule is about what applies, not about what was written."""
    fault = only_fault(tmp_path, CLIENT + '[scheduler]\nrefresh_before_expiry = "30m"')
    assert fault.startswith('clients.acme.access_token_lifetime = "1h": half of it (30m)')


def test_a_drain_outlasts_a_request_and_its_commit(tmp_path: Path) -> None:
    """A stop must not cut off an answer that holds a rotated token."""
    text = '[scheduler]\ndrain_timeout = "100s"'
    assert only_fault(tmp_path, text) == (
        'scheduler.drain_timeout = "100s": must be longer than request_timeout + commit_timeout '
        "(90s + 10s = 100s), or a stop cuts off answers"
    )
    loaded(tmp_path, text.replace("100s", "101s"))


def test_too_little_room_for_a_repeat_is_a_warning(tmp_path: Path) -> None:
    """It works, but one lost answer makes a token late."""
    tight = '[scheduler]\nrefresh_before_expiry = "241s"'
    (warning,) = loaded(tmp_path, tight).warnings
    assert "(241s)" in warning
    assert "2 x request_timeout + settle_delay + scan_interval = 241s" in warning
    assert () == loaded(tmp_path, tight.replace("241s", "242s")).warnings


@pytest.mark.parametrize(
    ("url", "seconds"),
    [
        ("postgresql://u@localhost/db", 28),
        ("postgresql://u@localhost,127.0.0.1/db", 38),
        ("postgresql://u@localhost,127.0.0.1,[::1]:5433/db", 48),
        ("postgresql://u@localhost/db?connect_timeout=10", 38),
        ("postgresql://u@localhost/db?connect_timeout=1", 22),
    ],
)
def test_the_pause_outlasts_another_replicas_way_back(tmp_path: Path, url: str, seconds: int) -> None:
    """A try under way (10 + 1 s, then each host), the wait for the next (5 s), each host again, and a sign of life (2 s)."""
    result = loaded(tmp_path, CLIENT + f'[store]\nurl = "{url}"')
    assert (timedelta(seconds=seconds), ()) == (pause_of(result.settings), result.warnings)


def test_too_little_room_for_a_failover_is_a_warning(tmp_path: Path) -> None:
    """It works, but tokens are late when the database fails over."""
    tight = '[store]\nurl = "postgresql://u@localhost/db?connect_timeout=80"'
    (warning,) = loaded(tmp_path, tight + '\n[scheduler]\nrefresh_before_expiry = "242s"').warnings
    assert "pause (up to 178s) + request_timeout + scan_interval = 269s" in warning


@pytest.mark.parametrize(
    ("grace", "warned"), [("0s", False), ("10s", True), ("13s", False), ("20s", False), ("60s", False)]
)
def test_a_reuse_grace_has_room_for_the_lease(tmp_path: Path, grace: str, *, warned: bool) -> None:
    """A repeat after the grace is a theft in the provider's eyes: clamp(g/3, 5, 20) + what a commit may take + 5 s < g."""
    warnings = loaded(tmp_path, CLIENT + f'reuse_grace = "{grace}"').warnings
    assert warned == any("clients.acme.reuse_grace (10s)" in warning and "11s" in warning for warning in warnings)
    assert warned == bool(warnings)


def test_redis_in_the_clear_beyond_this_machine_is_a_warning(tmp_path: Path) -> None:
    """Not a fault: the network may be a private one. The URL's password is not part of it."""
    (warning,) = loaded(tmp_path, '[redis]\nurl = "redis://:hunter2@redis.example"').warnings
    assert warning.startswith("redis.url: tokens cross the network unencrypted")
    assert "hunter2" not in warning


@pytest.mark.parametrize(("scope", "warned"), [("", False), ("offline read", False), ("read", True)])
def test_a_scope_without_the_required_one_is_a_warning(tmp_path: Path, scope: str, *, warned: bool) -> None:
    """Such a login gives no refresh token, and ends after an hour."""
    warnings = loaded(tmp_path, CLIENT + f'scope = "{scope}"').warnings
    assert warned == any("clients.acme.scope lacks offline" in warning for warning in warnings)


@pytest.mark.parametrize(
    "line",
    [
        'scan_interval = "0s"',
        'refresh_before_expiry = "0s"',
        'request_timeout = "0s"',
        'commit_timeout = "0s"',
        "concurrency = 0",
        "concurrency = -1",
        "concurrency = true",
        'spread = "51%"',
    ],
)
def test_numbers_stay_within_reason(tmp_path: Path, line: str) -> None:
    """One fault each: the rules stay silent about a value that is wrong by itself."""
    assert only_fault(tmp_path, f"[scheduler]\n{line}").startswith(f"scheduler.{line.partition(' ')[0]} = ")


@pytest.mark.parametrize(
    "line", ["max_in_flight = 0", 'max_rate = "0/s"', 'access_token_lifetime = "0s"', 'client_id = " "']
)
def test_a_clients_numbers_stay_within_reason(tmp_path: Path, line: str) -> None:
    """As above."""
    text = line if line.startswith("client_id") else f'client_id = "x"\n{line}'
    assert only_fault(tmp_path, f"[clients.acme]\n{text}").startswith(f"clients.acme.{line.partition(' ')[0]} = ")


@pytest.mark.parametrize("prefix", ["", "a b", "a{b", "a}b", "ä", "a\\tb", "x" * 65])
def test_a_key_prefix_is_printable_and_chooses_no_slot(tmp_path: Path, prefix: str) -> None:
    """Braces would put all keys of a cluster on one node."""
    assert only_fault(tmp_path, f'[redis]\nkey_prefix = "{prefix}"').startswith("redis.key_prefix = ")


def test_a_rule_is_judged_although_other_values_are_wrong(tmp_path: Path) -> None:
    """Independent faults do not hide each other, not even in one table."""
    text = '[scheduler]\nspread = "x"\ndrain_timeout = "1s"\n[clients.acme]\naccess_token_lifetime = "1m"'
    assert [
        "clients.acme.access_token_lifetime",
        "clients.acme.client_id",
        "scheduler.drain_timeout",
        "scheduler.spread",
    ] == [fault.path for fault in faults(tmp_path, text)]


def test_a_rule_is_silent_about_a_value_that_is_wrong_by_itself(tmp_path: Path) -> None:
    """It would be judged by a default that nobody wrote: here two scans of 1 s against a margin of 1.5 s."""
    text = '[scheduler]\nscan_interval = "often"\nrefresh_before_expiry = "1.5s"'
    assert only_fault(tmp_path, text).startswith('scheduler.scan_interval = "often"')
