"""Credentials of a client that asks for itself: the same schedule, store and publication, and nobody to log in."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.domain.client import GrantType
from refreshd.domain.credential import Status
from refreshd.domain.outcome import Confirmation, Misconfigured, Outcome, Rejected, Uncertain
from tests.contract.stores import POLICY, machine_grant
from tests.fakes import success
from tests.unit.service.house import House

MACHINE = replace(POLICY, refresh_lifetime=None)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path, policy=MACHINE, grant=GrantType.CLIENT_CREDENTIALS) as built:
        built.bed.add(machine_grant())
        yield built


async def test_a_token_is_asked_for_shown_and_replaced_before_it_ends(house: House) -> None:
    """Without any refresh token, before or after."""
    await house.work()
    assert "access-1" == house.token("a")
    house.clock.advance(timedelta(minutes=55))
    await house.work()
    assert ("access-2", 2) == (house.token("a"), len(house.endpoint.obtained))
    shown = house.publisher.shown["a"]
    assert (Status.ACTIVE, 3, False) == (shown.status, shown.generation, shown.relogin_soon)
    assert house.bed.row("a")["refresh_token"] is None


@pytest.mark.parametrize(
    "outcome",
    [
        Rejected(code="invalid_grant", confirmation=Confirmation.FAST),
        Rejected(code="http_400", confirmation=Confirmation.SLOWEST),
        Misconfigured(code="invalid_client"),
    ],
)
async def test_a_refusal_suspends_the_client_and_calls_nobody(house: House, outcome: Outcome) -> None:
    """R9 for all of them; the probe that succeeds ends it."""
    house.endpoint.script = [outcome, outcome, success()]
    assert "client.suspended" in await house.work()
    for minutes in (1, 2):
        house.clock.advance(timedelta(minutes=minutes))
        await house.work()
    assert "client.resumed" in house.observer.names()
    assert "credential.relogin_required" not in house.observer.names()
    assert "access" == house.token("a")


async def test_an_unanswered_request_is_repeated_without_doubt(house: House) -> None:
    """Within seconds, not after the settling that protects a refresh token."""
    house.endpoint.script = [Uncertain(code="deadline")]
    await house.work()
    assert 0 == house.bed.row("a")["in_doubt"]
    house.clock.advance(timedelta(seconds=5))
    await house.work()
    assert "access-2" == house.token("a")


async def test_a_restored_store_goes_on_above_what_is_published(house: House) -> None:
    """R11 holds logins, whose tokens would be spent. Here nothing is spent, and consumers never see a generation twice."""
    await house.work()
    house.bed.edit(
        "a", generation=1, revision=1, published_revision=1, attempted_at=None, next_attempt_at=0, login_at=0
    )
    shown = house.publisher.shown["a"]
    house.restart()
    await house.work()
    await house.work()
    later = house.publisher.shown["a"]
    assert Status.ACTIVE is later.status
    assert later.generation > shown.generation
    assert later.revision > shown.revision
