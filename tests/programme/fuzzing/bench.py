"""A real SQLite store, into which settled answers are committed as the daemon does it, and out of which they are read again."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import RowMapping, select, update

from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.schema import credential
from refreshd.domain.credential import Credential, Health, Lane
from refreshd.domain.transition import Transition
from refreshd.ports.sealer import Undecryptable
from refreshd.ports.store import Attempt, Committed
from tests.contract.stores import SqliteBed, grant
from tests.fakes import START
from tests.programme.fuzzing.states import NOW

ROWS = 256

_DUE = update(credential).values(
    next_attempt_at=START - timedelta(seconds=1),
    lane=int(Lane.ORDINARY),
    health=Health.ACTIVE.value,
    reason=None,
    in_doubt=0,
    rejections=0,
    failures=0,
    attempt_id=None,
    lease_until=None,
    unpublished_events="",
)


class Bench:
    """A context manager. `ROWS` credentials, all of them due again whenever they are claimed."""

    def __init__(self, directory: Path) -> None:
        self._bed = SqliteBed(directory)

    def __enter__(self) -> Self:
        self._bed.__enter__()
        self._bed.add(*(grant(f"c{number:03}") for number in range(ROWS)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bed.__exit__(kind, exc, trace)

    @property
    def codec(self) -> RowCodec:
        return self._bed.codec

    async def claim(self, count: int) -> Sequence[Attempt]:
        """So many open attempts, each of another credential."""
        with self._bed.engines.write.begin() as connection:
            connection.execute(_DUE)
        attempts = await self._bed.claim(START, count=count)
        assert count == len(attempts)
        return attempts

    async def commit(self, made: Sequence[tuple[Attempt, Transition]]) -> list[list[str]]:
        """Store them together; for each, the promises that its row breaks."""
        verdicts = await asyncio.gather(
            *(self._bed.store.commit(attempt, transition, now=NOW) for attempt, transition in made),
            return_exceptions=True,
        )
        with self._bed.engines.read.begin() as connection:
            rows = {row["id"]: row for row in connection.execute(select(credential)).mappings()}
        await self._bed.store.page(after=None, limit=ROWS)
        return [
            ([] if verdict == Committed() else [f"the store says {verdict!r}"])
            + self._broken(rows[attempt.credential.id], attempt, transition)
            for (attempt, transition), verdict in zip(made, verdicts, strict=True)
        ]

    def _broken(self, row: RowMapping, attempt: Attempt, made: Transition) -> list[str]:
        found, name, newest = [], attempt.credential.id, made.refresh_token or attempt.refresh_token
        assert newest is not None
        try:
            stored = self.codec.refresh_token(row)
        except Undecryptable as exc:
            stored = None
            found.append(f"the stored refresh token is lost: {exc}")
            self._bed.edit(
                name, refresh_token=self.codec.seal(newest, "refresh_token", name)
            )  # the next case needs one
        if stored is not None and stored != newest:
            found.append("another refresh token is stored than the newest that is known")
        access = self.codec.access(row)
        if made.access is not None and (access is None or access.value != made.access.value):
            found.append("another access token is stored than the one that came")
        return found


def placed(attempt: Attempt, state: Credential) -> Attempt:
    """The attempt as if its credential had been in that state; whose it is and its generation stay."""
    own = attempt.credential
    return replace(
        attempt, credential=replace(state, id=own.id, client=own.client, family=own.family, generation=own.generation)
    )
