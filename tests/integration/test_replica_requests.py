"""Consumers' requests handed to several replicas of one PostgreSQL: both limits hold over all of them, by its clock."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from refreshd.domain.credential import CredentialId
from refreshd.domain.requests import RefreshRequest, RequestLimits
from refreshd.domain.secret import Secret
from tests.components.postgres_server import PostgresServer
from tests.contract.stores import PostgresBed, grant
from tests.integration.test_postgres import Member, member

SECOND = timedelta(seconds=1)
LIMITS = RequestLimits(per_credential=timedelta(minutes=5), in_all=SECOND)
ASKED = 1000
CREDENTIALS = 4


@pytest.fixture
def bed(postgres_server: PostgresServer, migrated_database: str, tmp_path: Path) -> Iterator[PostgresBed]:
    """Credentials of generation 1 with nothing due for most of an hour."""
    with PostgresBed(tmp_path, url=postgres_server.database(like=migrated_database)) as made:
        now = datetime.now(UTC)
        living: dict[str, Any] = {
            "access_token": Secret("at"),
            "issued_at": now,
            "expires_at": now + timedelta(hours=1),
        }
        made.add(*(grant(f"c{number}", **living) for number in range(CREDENTIALS)), now=now)
        yield made


@pytest.fixture
def replicas(bed: PostgresBed) -> Iterator[list[Member]]:
    with ExitStack() as stack:
        yield [stack.enter_context(member(bed, name)) for name in ("a", "b", "c")]


async def taken(replica: Member, number: int = 0, *, late: timedelta = timedelta(0)) -> bool:
    """`late`: how long ago the replica had looked at its clock."""
    request = RefreshRequest(id=CredentialId(f"c{number}"), generation=1)
    return await replica.store.take_request(request, limits=LIMITS, now=replica.time.now() - late)


async def test_a_thousand_requests_at_once_take_one_turn(replicas: list[Member]) -> None:
    """Handed to three replicas, for one credential and generation."""
    for one in replicas:
        await one.replicas.sign_of_life()
    accepted = await asyncio.gather(*(taken(replicas[number % 3]) for number in range(ASKED)))
    assert 1 == sum(accepted)


@pytest.mark.parametrize("late", [timedelta(milliseconds=5), timedelta(seconds=20)])
async def test_whoever_looked_at_its_clock_too_early_takes_no_second_turn(
    replicas: list[Member], late: timedelta
) -> None:
    """It waited for the other's lock, or was frozen: by its old date the turn just taken lay in the future and limited nobody."""
    one, two, _ = replicas
    for each in replicas:
        await each.replicas.sign_of_life()
    assert await taken(one)
    assert [False, False] == [await taken(two, late=late), await taken(two, 1, late=late)]


async def test_all_replicas_together_take_one_turn_a_second(bed: PostgresBed, replicas: list[Member]) -> None:
    """However they press, and whatever their clocks say."""
    for each in replicas:
        await each.replicas.sign_of_life()
    done: set[int] = set()
    began = time.monotonic()

    async def press(replica: Member, late: timedelta) -> None:
        while len(done) < CREDENTIALS and time.monotonic() - began < 20:
            for number in set(range(CREDENTIALS)) - done:
                if await taken(replica, number, late=late):
                    done.add(number)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(press(one, place * SECOND / 50) for place, one in enumerate(replicas)))
    turns = sorted(bed.row(f"c{number}")["requested_at"] for number in done)
    assert CREDENTIALS == len(turns)
    assert min(later - earlier for earlier, later in pairwise(turns)) >= 1_000_000
