"""The places on one credential's way where a process can die, stall or fail: the rows of the crash table, by name.

The code says when it reaches one. Nobody listens, unless a test has switched a fail point on there.
"""

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """In the order of one credential's way. `written`: inside the transaction, before its COMMIT."""

    RECOVER_BEGUN = "recover.begun"
    RECOVER_WRITTEN = "recover.written"
    RECOVERED = "recover.done"
    CLAIM_BEGUN = "claim.begun"
    CLAIM_WRITTEN = "claim.written"
    CLAIMED = "claim.done"
    SENDING = "exchange.sending"
    ANSWERED = "exchange.answered"
    SETTLED = "settle.done"
    COMMIT_BEGUN = "commit.begun"
    COMMIT_WRITTEN = "commit.written"
    COMMITTED = "commit.done"
    PUBLISH_BEGUN = "publish.begun"
    PUBLISH_WRITTEN = "publish.written"
    PUBLISHED = "publish.done"


Reached = Callable[[Step], None]


def unobserved(_step: Step) -> None:
    """What the product does at each step: nothing."""
