"""The short form of `make simulate`: a few worlds keep every promise, and each is repeated exactly from its seed."""

import pytest

from tests.programme.programme import Limits
from tests.programme.simulate import run, simulate
from tests.programme.world import Scale

SEED = 2
WORLDS = 2


@pytest.mark.xdist_group("busy")
@pytest.mark.timeout(300)
def test_worlds_full_of_faults_keep_every_promise() -> None:
    """Nothing is lost without a fault that no client can close, nobody is called in vain, and all recovers by itself."""
    report = run(Limits(WORLDS, SEED, 30))
    print(report.line())
    assert [] == report.failures()


@pytest.mark.xdist_group("busy")
@pytest.mark.timeout(120)
def test_a_world_is_its_seed_and_its_index() -> None:
    """A failing world is repeated from two numbers, event by event; another seed is another world."""
    first, again, other = (simulate(seed, 0, scale=Scale(credentials=20, days=0.5)) for seed in (7, 7, 8))
    assert (first.digest, first.counts) == (again.digest, again.counts)
    assert first.digest != other.digest
