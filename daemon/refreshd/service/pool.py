"""The tasks that hold a refresh token on its way. Nobody cancels them; they end by their own deadlines, and are drained."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable

from refreshd.domain.credential import AttemptId, CredentialId
from refreshd.domain.events import TaskCrashed
from refreshd.ports.observer import Observer
from refreshd.ports.store import Attempt
from refreshd.service.timekeeper import Moment

Work = Callable[[Attempt, Moment], Awaitable[None]]


class Pool:
    """At most `size` attempts under way, those included whose answer is being stored. `on_free`: there is room again."""

    def __init__(self, work: Work, *, size: int, observer: Observer, on_free: Callable[[], None]) -> None:
        self._work = work
        self._size = size
        self._observer = observer
        self._on_free = on_free
        self._tasks: dict[AttemptId, asyncio.Task[None]] = {}
        self._attempts: dict[AttemptId, Attempt] = {}

    @property
    def free(self) -> int:
        return max(0, self._size - len(self._tasks))

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    def start(self, attempt: Attempt, *, claimed_at: Moment) -> None:
        """Run one attempt. `claimed_at`: taken before its claim was committed."""
        self._attempts[attempt.id] = attempt
        self._tasks[attempt.id] = asyncio.create_task(
            self._run(attempt, claimed_at), name=f"refresh {attempt.credential.id}"
        )

    def holding(self) -> frozenset[CredentialId]:
        """Rows that this process works on: nobody here may claim them again, whatever the clock says of their lease."""
        return frozenset(one.credential.id for one in self._attempts.values())

    async def drained(self) -> None:
        """Return when nothing is under way any more."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def _run(self, attempt: Attempt, claimed_at: Moment) -> None:
        try:
            await self._work(attempt, claimed_at)
        except Exception as exc:  # noqa: BLE001 - the one place: a bug in one attempt must not end the others
            # frames only: an exception's text may hold what it was working on
            trace = "".join(traceback.format_tb(exc.__traceback__))
            self._observer.on_event(
                TaskCrashed(task=f"refresh {attempt.credential.id}", error=type(exc).__name__, trace=trace)
            )
        finally:
            was_full = not self.free
            del self._tasks[attempt.id], self._attempts[attempt.id]
            if was_full:
                self._on_free()
