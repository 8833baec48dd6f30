"""The cost of a tick does not grow with what is stored."""

import statistics
import time
from datetime import timedelta
from pathlib import Path

import pytest

from refreshd.domain.credential import CredentialId
from refreshd.domain.secret import Secret
from refreshd.ports.store import Capacity
from tests.contract.stores import ACME, LEASE, SqliteBed, grant
from tests.fakes import START

SMALL, LARGE = 1_000, 100_000
LOOKS = 200


async def look(bed: SqliteBed) -> float:
    """Milliseconds of one empty tick: what is due, what is unpublished."""
    began = time.perf_counter()
    capacity = {ACME: Capacity(count=16, lease=LEASE)}
    assert [] == list((await bed.store.claim_due(now=START, capacity=capacity, total=16, holding=())).attempts)
    assert [] == list(await bed.store.unpublished(limit=200))
    return (time.perf_counter() - began) * 1000


@pytest.mark.xdist_group("busy")
@pytest.mark.timeout(120)
async def test_an_empty_tick_at_100_000_costs_at_most_twice_that_at_1_000(tmp_path: Path) -> None:
    """Both queries use their partial indexes; measured in turn, medians compared."""
    hour = timedelta(hours=1)
    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    with SqliteBed(tmp_path / "small") as small, SqliteBed(tmp_path / "large") as large:
        for bed, size in ((small, SMALL), (large, LARGE)):
            grants = [
                grant(f"c{n:06}", access_token=Secret("at"), issued_at=START, expires_at=START + hour)
                for n in range(size)
            ]
            bed.importer.write(grants, replace=False, now=START, progress=lambda _count: None)
            after: CredentialId | None = None
            while page := await bed.store.page(after=after, limit=5000):
                await bed.store.mark_published(page)
                after = page[-1].id
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(LOOKS):
            for bed, seen in zip((small, large), times, strict=True):
                seen.append(await look(bed))
    little, much = (statistics.median(seen) for seen in times)
    print(f"empty tick: {little:.3f} ms at {SMALL}, {much:.3f} ms at {LARGE}, ratio {much / little:.2f}")
    assert much <= 2 * little
