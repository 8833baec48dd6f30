"""What the store makes of consumers' requests, for every database that carries it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from refreshd.domain.credential import CredentialId
from refreshd.domain.requests import RefreshRequest, RequestLimits, Standing
from refreshd.domain.secret import Secret
from tests.contract.stores import SqliteBed, grant
from tests.fakes import START

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
LIMITS = RequestLimits(per_credential=timedelta(minutes=5), in_all=SECOND)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[SqliteBed]:
    """Credentials `a` and `b` of generation 1, with nothing due for most of an hour."""
    with SqliteBed(tmp_path) as opened:
        living: dict[str, Any] = {"access_token": Secret("at"), "issued_at": START, "expires_at": START + HOUR}
        opened.add(grant("a", **living), grant("b", **living))
        yield opened


def request(name: str = "a", generation: int = 1) -> RefreshRequest:
    return RefreshRequest(id=CredentialId(name), generation=generation)


async def test_a_request_makes_its_row_due_at_once(bed: SqliteBed) -> None:
    """It is claimed like any other, and nothing else about it has changed."""
    before = bed.row("a")
    assert [] == await bed.claim(START)
    assert await bed.store.take_request(request(), limits=LIMITS, now=START)
    changed = {name for name, value in bed.row("a").items() if value != before[name]}
    assert {"next_attempt_at", "requested_at"} == changed
    assert ["a"] == [attempt.credential.id for attempt in await bed.claim(START)]


async def test_a_row_that_is_overdue_keeps_its_place(bed: SqliteBed) -> None:
    """Moved to now it would go behind those that became due meanwhile."""
    before = bed.row("a")["next_attempt_at"]
    assert await bed.store.take_request(request(), limits=LIMITS, now=START + HOUR)
    assert before == bed.row("a")["next_attempt_at"]


async def test_a_row_that_changed_after_it_was_looked_at_is_left_alone(bed: SqliteBed) -> None:
    """The row decides as it is now: a token that came a moment ago is not spent."""
    bed.edit("a", generation=2)
    before = bed.row("a")
    assert not await bed.store.take_request(request(), limits=LIMITS, now=START)
    assert before == bed.row("a")


@pytest.mark.parametrize(
    "values",
    [
        {"paused": 1},
        {"health": "held"},
        {"health": "relogin_required"},
        {"in_doubt": 1},
        {"rejections": 1},
        {"failures": 1},
        {"attempt_id": "x"},
        {"removed_at": 1},
    ],
)
async def test_a_state_that_has_a_time_of_its_own_is_left_alone(bed: SqliteBed, values: dict[str, object]) -> None:
    """Whatever happened between the look and the write."""
    bed.edit("a", **values)
    before = bed.row("a")
    found = (await bed.store.standings({CredentialId("a")})).found
    assert not await bed.store.take_request(request(), limits=LIMITS, now=START)
    assert before == bed.row("a")
    removed = "removed_at" in values
    assert ({} if removed else {"a": Standing(generation=1, able=False)}) == found


async def test_replicas_keep_both_limits_together(bed: SqliteBed) -> None:
    """One a second in all, one in five minutes each: they stand in the store, so it does not matter who asks it."""

    async def taken(name: str, after: timedelta) -> bool:
        return await bed.store.take_request(request(name), limits=LIMITS, now=START + after)

    assert await taken("a", timedelta(0))
    assert not await taken("b", SECOND / 2)
    assert await taken("b", SECOND)
    assert not await taken("a", timedelta(minutes=5) - SECOND)
    assert await taken("a", timedelta(minutes=5))


async def test_a_clock_that_went_back_limits_nobody_for_long(bed: SqliteBed) -> None:
    """A date in the future is none to go by."""
    assert await bed.store.take_request(request(), limits=LIMITS, now=START + HOUR)
    assert await bed.store.take_request(request(), limits=LIMITS, now=START)
    assert not await bed.store.take_request(request(), limits=LIMITS, now=START + SECOND)


async def test_standings_tell_when_a_request_was_last_taken(bed: SqliteBed) -> None:
    """For the credential and for all; of ids that do not exist, nothing."""
    ids = {CredentialId(name) for name in ("a", "b", "c")}
    fresh = Standing(generation=1, able=True)
    before = await bed.store.standings(ids)
    assert ({"a": fresh, "b": fresh}, None) == (before.found, before.requested_at)
    await bed.store.take_request(request(), limits=LIMITS, now=START)
    after = await bed.store.standings(ids)
    assert (START, START, fresh) == (
        after.requested_at,
        after.found[CredentialId("a")].requested_at,
        after.found[CredentialId("b")],
    )
