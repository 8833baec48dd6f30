"""The main job with real servers: many credentials, kept fresh while a consumer watches."""

import time
from collections.abc import Callable

import pytest

from tests.components.oidc_server import OidcServer
from tests.components.redis_server import RedisServer
from tests.system.consumer import PollingConsumer
from tests.system.installation import Installation

SECONDS = 90
CREDENTIALS = 200
LEAST_REFRESHES = 4


@pytest.mark.timeout(240)
def test_every_token_stays_readable_and_no_refresh_token_is_presented_twice(
    install: Callable[..., Installation], oidc: OidcServer, redis_server: RedisServer
) -> None:
    """200 credentials on tokens of 20 s for 90 s: each refreshed 4 times, none refused, none missing or expired."""
    installation = install()
    ids = [*installation.log_in("basic", CREDENTIALS // 2), *installation.log_in("pkce", CREDENTIALS // 2)]
    with installation.daemon() as daemon, PollingConsumer(redis_server.client(), ids) as consumer:
        time.sleep(SECONDS)
        lead_late = daemon.metric("refreshd_refresh_lead_seconds_bucket", client="basic", le="0.0")
        assert 0 == daemon.terminate()
    installation.planted |= consumer.tokens
    stats = oidc.stats()
    least = min(consumer.changes.values())
    print(
        f"{CREDENTIALS} credentials, {SECONDS} s: {stats.rotated} rotations, at least {least} changes each, "
        f"{consumer.looks} looks, {len(consumer.faults)} faults, refused {dict(stats.refused)}, "
        f"presented twice {stats.presented_twice}, at most {stats.max_inflight} in flight"
    )
    assert [] == consumer.errors
    assert [] == consumer.faults[:5]
    assert {} == dict(stats.refused)
    assert 0 == stats.presented_twice
    assert 0 == stats.unanswered
    assert least >= LEAST_REFRESHES
    assert consumer.looks > CREDENTIALS * SECONDS  # of about 4 looks a second each
    assert 0 == lead_late
