"""What every store keeps of a login that waits for its account to be checked: it is acted on once."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from refreshd.adapters.sql.logins import SqlLogins
from refreshd.adapters.sql.thread import StoreThread
from refreshd.domain.login import Fate, Finish, TokenOwned
from refreshd.ports.logins import Aside
from tests.contract.stores import Bed, grant
from tests.fakes import START


@pytest.fixture
def desks(bed: Bed) -> Iterator[tuple[SqlLogins, SqlLogins]]:
    """Two commands on one store."""
    threads = [StoreThread(bed.engines.write, name) for name in ("first", "second")]
    first, second = (SqlLogins(one, bed.importer, bed.codec) for one in threads)
    yield first, second
    for one in threads:
        one.close()


async def put_aside(desk: SqlLogins, token: str = "new") -> Aside:
    login = grant(token=token, access_token=None)
    family = await desk.set_aside(login, now=START)
    assert not isinstance(family, TokenOwned)
    return Aside(family=family, grant=login)


def stored(bed: Bed) -> str:
    return bed.codec.open(bed.row("a")["refresh_token"], "refresh_token", "a").reveal()


async def test_of_two_commands_that_finish_a_login_one_does(bed: Bed, desks: tuple[SqlLogins, SqlLogins]) -> None:
    """At the same time; the other one learns that it is stored."""
    bed.add(grant())
    aside = await put_aside(desks[0])
    done = await asyncio.gather(*(desk.finish(aside, account="alice", now=START) for desk in desks))
    assert {Finish.STORED, Finish.STORED_BEFORE} == set(done)
    row = bed.row("a")
    assert ("new", "alice", aside.family, 2) == (stored(bed), row["account"], row["family"], row["generation"])


async def test_a_finished_login_is_not_finished_again_when_it_was_replaced(
    bed: Bed, desks: tuple[SqlLogins, SqlLogins]
) -> None:
    """Its refresh token may be spent."""
    bed.add(grant())
    aside = await put_aside(desks[0])
    await desks[1].finish(aside, account=None, now=START)
    bed.add(grant(token="newer"), replace=True, now=START + timedelta(hours=1))
    assert Finish.GONE == await desks[0].finish(aside, account=None, now=START)
    assert "newer" == stored(bed)


async def test_a_login_is_refused_once(bed: Bed, desks: tuple[SqlLogins, SqlLogins]) -> None:
    """And not at all when it was finished: nothing that a credential lives on is revoked."""
    bed.add(grant())
    refused, finished = [await put_aside(desks[0], token) for token in ("refused", "finished")]
    assert Fate.QUEUED == await desks[0].refuse(refused, account="bob", revocable=True, now=START)
    assert await desks[1].refuse(refused, account="bob", revocable=True, now=START) is None
    await desks[0].finish(finished, account=None, now=START)
    assert await desks[1].refuse(finished, account="bob", revocable=True, now=START) is None
    with bed.engines.read.begin() as connection:
        assert 1 == connection.scalar(text("SELECT count(*) FROM revocation"))
