"""One life of the daemon's process: from its start to its death, after which nothing that it still runs may touch the world."""

from collections import Counter
from collections.abc import Callable

from refreshd.domain.steps import Step


class Died(BaseException):
    """The process is dead. Not an `Exception`: no code of the product may catch a `kill -9`."""


class Life:
    """`doom`: the step at which it dies, and how often that must be reached first. `disk_full`: writes fail."""

    def __init__(self, on_death: Callable[[], object] = lambda: None) -> None:
        """`on_death`: called once, from within whatever reached the step."""
        self._on_death = on_death
        self.alive = True
        self.doom: tuple[Step, int] | None = None
        self.disk_full = False
        self.passed: Counter[Step] = Counter()
        self.died_at: Step | None = None

    def check(self) -> None:
        if not self.alive:
            raise Died

    def reached(self, step: Step) -> None:
        """What the product tells its steps."""
        self.check()
        self.passed[step] += 1
        if self.doom is not None and self.doom[0] is step:
            self.doom = (step, self.doom[1] - 1)
            if self.doom[1] <= 0:
                self.alive, self.died_at = False, step
                self._on_death()
                raise Died
        if self.disk_full and step in (Step.CLAIM_WRITTEN, Step.COMMIT_WRITTEN):
            raise OSError("the disk is full")
