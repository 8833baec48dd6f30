"""Answers on their way into a database that may lose them: written to a journal before the commit, put back when they are missing.

A line holds what the commit statement would store, sealed as in the row (protocol R6).
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, select

from refreshd.adapters.sql import statements
from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.schema import EPOCH, MICROSECOND, credential
from refreshd.domain.transition import Transition
from refreshd.ports.journal import Journal
from refreshd.ports.store import Attempt

c = credential.c
_AT_ONCE = 500
_MOST_HELD = 10_000
_Entry = Mapping[str, Any]


class Spooling:
    """On the thread that commits. `on_fault` is told when the journal fails: an answer is committed without it all the same."""

    def __init__(self, journal: Journal, codec: RowCodec, *, on_fault: Callable[[str], None]) -> None:
        self._journal = journal
        self._codec = codec
        self._on_fault = on_fault

    @property
    def inherited(self) -> Collection[str]:
        """Daemons that are gone, and whose answers we put back in their place."""
        return self._journal.inherited

    def keep(self, answers: Sequence[tuple[Attempt, Transition, datetime]]) -> None:
        """Those that bring a token."""
        try:
            self._journal.append(
                {
                    attempt.id: self._line(attempt, transition, now)
                    for attempt, transition, now in answers
                    if transition.refresh_token is not None and not self._journal.holds(attempt.id)
                }
            )
        except OSError as exc:
            self._on_fault(type(exc).__name__)

    def keeps(self, attempt: Attempt) -> bool:
        return self._journal.holds(attempt.id)

    def settle(self, attempts: Sequence[Attempt]) -> None:
        try:
            self._journal.settle([one.id for one in attempts])
        except OSError as exc:  # kept longer than it had to be
            self._on_fault(type(exc).__name__)

    def forget(self) -> None:
        """What has been in the database for long, which is there and lacks nothing of ours."""
        try:
            self._journal.forget()
        except OSError as exc:
            self._on_fault(type(exc).__name__)

    def restore(self, connection: Connection) -> int:
        """Rows of the same family that are behind what was answered get it; an attempt that is open by now loses its row.

        What is kept is kept anew from here: the database that has it now may be lost as well.
        """
        restored = self._put_back(connection, lambda _entry: True)
        self._journal.renew()
        return restored

    def restore_held(self, connection: Connection) -> int:
        """Another daemon may have held a row whose newest answer lies here, while we noticed nothing."""
        held = frozenset(connection.scalars(select(c.id).where(statements.BEHIND).limit(_MOST_HELD)).all())
        return self._put_back(connection, lambda entry: entry["b_id"] in held) if held else 0

    def _put_back(self, connection: Connection, chosen: Callable[[_Entry], bool]) -> int:
        newest: dict[tuple[str, str], _Entry] = {}
        for entry in filter(None, map(_entry, self._journal.lines())):
            row = entry["b_id"], entry["b_family"]
            if chosen(entry) and (row not in newest or _age(newest[row]) <= _age(entry)):
                newest[row] = entry
        entries = iter(newest.values())
        restored = 0
        while some := list(islice(entries, _AT_ONCE)):
            restored += _restore(connection, some)
        return restored

    def _line(self, attempt: Attempt, transition: Transition, now: datetime) -> bytes:
        values = self._codec.committed(attempt, transition, now=now)
        entry = {"b_id": attempt.credential.id, "b_family": attempt.credential.family, **values}
        return json.dumps(entry, default=_packed).encode()


def _age(entry: _Entry) -> tuple[int, datetime]:
    """Files tell nothing about it: several daemons' segments lie side by side, each as young as its last line."""
    return entry["set_generation"], entry["set_updated_at"]


def _restore(connection: Connection, entries: Sequence[_Entry]) -> int:
    """The statement decides; what is surely there already is not asked about."""
    rows = connection.execute(select(c.id, c.family, c.generation).where(c.id.in_([one["b_id"] for one in entries])))
    stored = {(row.id, row.family): row.generation for row in rows}
    behind = [
        one
        for one in entries
        if stored.get((one["b_id"], one["b_family"]), one["set_generation"] + 1) <= one["set_generation"]
    ]
    behind.sort(key=lambda one: one["b_id"])
    return sum(connection.execute(statements.RESTORE, one).rowcount for one in behind)


def _packed(value: object) -> dict[str, Any]:
    match value:
        case datetime():
            return {"micros": (value - EPOCH) // MICROSECOND}
        case bytes():
            return {"base64": b64encode(value).decode()}
    raise TypeError(type(value).__name__)


def _unpacked(packed: dict[str, Any]) -> Any:
    if packed.keys() == {"micros"}:
        return EPOCH + packed["micros"] * MICROSECOND
    if packed.keys() == {"base64"}:
        return b64decode(packed["base64"])
    return packed


def _entry(line: bytes) -> dict[str, Any] | None:
    """None for a line that was torn when its process died: its answer was not committed either."""
    try:
        entry = json.loads(line, object_hook=_unpacked)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
