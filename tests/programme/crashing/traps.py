"""A ledger that kills the sender of a request at an exact moment of its way through the provider."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from refreshd.demo.dialects import Reply
from refreshd.demo.grants import Rules
from tests.programme.crashing.plan import Moment
from tests.programme.daemons.installation import MarkedLedger


@dataclass(slots=True)
class Trap:
    """Kills at the `turn`-th request that it meets."""

    moment: Moment
    turn: int
    kill: Callable[[], None]

    def springs(self) -> bool:
        self.turn -= 1
        return self.turn == 0


class TrappedLedger(MarkedLedger):
    """`trap` may be set from any thread, between two lives of the daemon."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.trap: Trap | None = None

    def exchange(self, form: Mapping[str, str], authorization: str | None, *, at: float) -> Reply:
        trap = self.trap
        if trap is None or not trap.springs():
            return super().exchange(form, authorization, at=at)
        match trap.moment:
            case Moment.LOST:
                trap.kill()
                return Reply(status=500, body=b"nobody reads this")
            case Moment.BEFORE_COMMIT:
                trap.kill()
                return super().exchange(form, authorization, at=at)
            case Moment.AFTER_COMMIT:
                reply = super().exchange(form, authorization, at=at)
                trap.kill()
                return reply
