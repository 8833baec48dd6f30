"""The queue of tokens to revoke, worked off beside everything else."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.adapters.sql.inventory import Selection
from refreshd.adapters.sql.revocations import SqlRevocations
from refreshd.domain.client import AuthMethod, Client, Limits
from refreshd.domain.credential import ClientName
from refreshd.domain.events import RevocationFailed, RevocationsCounted
from refreshd.domain.revocation import GIVE_UP_AFTER, NotRevocable, NotRevokedYet, RevocationOutcome, Revoked
from refreshd.domain.secret import Secret
from refreshd.service.revoker import KEEP_GIVEN_UP, Revoker
from tests.contract.stores import ACME, OTHER, SqliteBed, grant
from tests.fakes import START, FakeClock, RecordingObserver

HOUR = timedelta(hours=1)


class ScriptedRevocation:
    """`RevocationEndpoint` that answers by client, and remembers what it was shown."""

    def __init__(self) -> None:
        self.answers: dict[ClientName, RevocationOutcome] = {}
        self.shown: list[str] = []

    async def revoke(self, client: Client, refresh_token: Secret) -> RevocationOutcome:
        self.shown.append(refresh_token.reveal())
        return self.answers.get(client.name, Revoked())


class Bench:
    def __init__(self, bed: SqliteBed) -> None:
        self.bed = bed
        self.clock = FakeClock()
        self.observer = RecordingObserver()
        self.endpoint = ScriptedRevocation()
        self.revoker = self.make(ACME, OTHER)

    def make(self, *names: ClientName, max_rate: float = 100.0) -> Revoker:
        clients = {
            name: Client(
                name=name,
                token_endpoint="https://provider.example/token",
                revocation_endpoint="https://provider.example/revoke",
                auth_method=AuthMethod.NONE,
                client_id="id",
                client_secret=None,
                request_timeout=timedelta(seconds=5),
            )
            for name in names
        }
        return Revoker(
            lambda: clients,
            dict.fromkeys(names, Limits(max_in_flight=1, max_rate=max_rate)),
            revocations=SqlRevocations(self.bed.store.threads, self.bed.codec),
            endpoint=self.endpoint,
            observer=self.observer,
            clock=self.clock,
            draw=lambda: 0.5,
        )

    def remove(self, *names: str) -> None:
        self.bed.add(*(grant(name, client=OTHER if name.startswith("x") else ACME) for name in names))
        for name in names:
            self.bed.inventory.remove_to_revoke(Selection(id=name), now=START)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with SqliteBed(tmp_path) as bed:
        yield Bench(bed)


async def test_what_waits_is_revoked_once(bench: Bench) -> None:
    bench.remove("a", "b")
    await bench.revoker.round()
    await bench.revoker.round()
    assert ["refresh-a", "refresh-b"] == sorted(bench.endpoint.shown)
    assert 2 * ["credential.revoked"] == bench.observer.names()
    assert (0, []) == bench.bed.inventory.unrevoked(asked_at=START)


async def test_an_outage_of_one_provider_delays_no_other(bench: Bench) -> None:
    """The first that fails ends its client's round: an outage is not knocked at a hundred times a second."""
    bench.remove("a", "b", "c", "x")
    bench.endpoint.answers[ACME] = NotRevokedYet(code="unreachable")
    await bench.revoker.round()
    assert ["refresh-a", "refresh-x"] == sorted(bench.endpoint.shown)
    assert {"credential.revocation_deferred", "credential.revoked"} == set(bench.observer.names())
    bench.endpoint.answers.clear()
    bench.clock.advance(HOUR)
    await bench.revoker.round()
    assert {} == dict(await SqlRevocations(bench.bed.store.threads, bench.bed.codec).pending())


async def test_a_put_off_token_waits_its_time_across_a_restart(bench: Bench) -> None:
    """The back-off stands in the row."""
    bench.remove("a")
    bench.endpoint.answers[ACME] = NotRevokedYet(code="busy", retry_after=timedelta(minutes=10))
    await bench.revoker.round()
    again = bench.make(ACME)
    bench.clock.advance(timedelta(minutes=9))
    await again.round()
    assert 1 == len(bench.endpoint.shown)
    bench.clock.advance(timedelta(minutes=1))
    await again.round()
    assert 2 == len(bench.endpoint.shown)


async def test_a_no_is_told_once_and_forgotten_after_two_days(bench: Bench) -> None:
    bench.remove("a", "b")
    bench.endpoint.answers[ACME] = NotRevocable(code="unsupported_token_type")
    await bench.revoker.round()
    await bench.revoker.round()
    assert 2 * ["credential.revocation_failed"] == bench.observer.names()
    assert (0, 2 * ["unsupported_token_type"]) == bench.bed.inventory.unrevoked(asked_at=START)
    bench.clock.advance(KEEP_GIVEN_UP + HOUR)
    await bench.revoker.round()
    assert (0, []) == bench.bed.inventory.unrevoked(asked_at=START)


async def test_after_a_day_an_outage_is_given_up(bench: Bench) -> None:
    bench.remove("a")
    bench.endpoint.answers[ACME] = NotRevokedYet(code="unreachable")
    bench.clock.advance(GIVE_UP_AFTER)
    await bench.revoker.round()
    assert ["credential.revocation_failed"] == bench.observer.names()


async def test_an_unreadable_token_does_not_block_the_queue(bench: Bench) -> None:
    bench.remove("a", "b")
    with bench.bed.engines.write.begin() as connection:
        connection.exec_driver_sql("UPDATE revocation SET refresh_token = x'00' WHERE credential_id = 'a'")
    await bench.revoker.round()
    assert ["refresh-b"] == bench.endpoint.shown
    failed = [event for event in bench.observer.events if isinstance(event, RevocationFailed)]
    assert [("a", "undecryptable")] == [(event.id, event.code) for event in failed]


async def test_a_client_that_left_the_configuration_is_given_up_after_a_day(bench: Bench) -> None:
    """It may come back within that time: then its tokens are revoked."""
    bench.remove("x")
    revoker = bench.make(ACME)
    await revoker.round()
    assert [] == bench.observer.names()
    bench.clock.advance(GIVE_UP_AFTER)
    await revoker.round()
    assert ["credential.revocation_failed"] == bench.observer.names()


async def test_no_more_a_tick_than_the_client_may_send_a_second(bench: Bench) -> None:
    """Removing ten thousand must not use up what refreshing needs."""
    bench.remove("a", "b", "c")
    revoker = bench.make(ACME, max_rate=2.0)
    await revoker.round()
    assert 2 == len(bench.endpoint.shown)
    counted = [event for event in bench.observer.events if isinstance(event, RevocationsCounted)]
    assert {ACME: 1} == dict(counted[-1].pending)
