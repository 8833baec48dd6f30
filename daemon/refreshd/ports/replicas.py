"""The other daemons on the same store."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`living`: daemons that gave a sign of life lately, this one included. `on_duty`: this one keeps house for all.

    `returned`: how often the database went away and came back, or another took its place, since this process began.
    `restored`: credentials whose answers it had lost and has back now.
    """

    living: int
    on_duty: bool
    returned: int
    restored: int


class Replicas(Protocol):
    """All raise `StoreUnavailable`."""

    async def sign_of_life(self) -> Standing:
        """Tell the others that we are here, and bring back what the database has lost of ours."""
        ...

    async def sign_off(self) -> None:
        """The others need not wait for us any more."""
        ...
