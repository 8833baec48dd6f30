"""What happens between several daemons on one store."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicasCounted:
    """`living` daemons share every client's limits from now on. `on_duty`: this one keeps house for all."""

    name: ClassVar[str] = "replicas.counted"
    level: ClassVar[str] = "info"
    living: int
    on_duty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersRestored:
    """A database that came back lacked the last answers of these credentials; they were put back from the spool (R6)."""

    name: ClassVar[str] = "store.answers_restored"
    level: ClassVar[str] = "warning"
    count: int
