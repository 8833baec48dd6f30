"""The attempt log: what was presented when, by whom, how far it came and what became of it. Evidence, kept for 90 days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.sql.elements import ColumnElement

from refreshd.adapters.sql import statements
from refreshd.adapters.sql.schema import attempt_log, credential
from refreshd.domain.credential import CredentialId
from refreshd.domain.outcome import Phase
from refreshd.domain.transition import Transition
from refreshd.ports.store import Attempt, Committed, Conflict

UNKNOWN = "unknown"
c = credential.c

# A log entry is never worth a failed commit: one that stands there already, after a clock step, stays.
_INSERT = statements.insert_once(attempt_log)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attempt. `generation`: whose refresh token was presented. `owner`: the instance that the log's daemon.started names."""

    started_at: datetime
    ended_at: datetime | None
    generation: int
    owner: str
    phase: str
    outcome: str
    code: str


def log_outcome(
    attempt: Attempt, transition: Transition, verdict: Committed | Conflict, now: datetime
) -> dict[str, Any]:
    """The entry of an attempt whose outcome is known. A conflict's code says what became of the answer.

    It ended when that was settled, which may be long before a database that was away could store it.
    """
    code = transition.after.last_code or ""
    if isinstance(verdict, Conflict):
        code = "rescued" if verdict.rescued else "dropped"
    return {
        "credential_id": attempt.credential.id,
        "started_at": attempt.started_at,
        "ended_at": transition.after.attempted_at or now,
        "generation": attempt.credential.generation,
        "owner": attempt.owner,
        "phase": transition.phase.value,
        "outcome": transition.after.last_outcome or UNKNOWN,
        "code": code,
    }


def write(connection: Connection, entries: Sequence[dict[str, Any]]) -> None:
    if entries:
        connection.execute(_INSERT, entries)


def close_open(
    connection: Connection, where: ColumnElement[bool], parameters: dict[str, Any], *, code: str, due_at: Any = None
) -> int:
    """Put open attempts in doubt and log them: nobody knows how far they came. `due_at` None: their time stays.

    Rows that another replica is just closing are left to it.

    Returns how many are in doubt now: not those that presented no login.
    """
    open_ones = select(
        c.id, c.attempt_started_at, c.generation, c.attempt_owner, statements.NO_LOGIN.label("no_login")
    ).where(where)
    rows = connection.execute(open_ones.with_for_update(skip_locked=True), parameters).all()
    if not rows:
        return 0
    write(
        connection,
        [
            {
                "credential_id": row.id,
                "started_at": row.attempt_started_at,
                "ended_at": parameters["now"],
                "generation": row.generation,
                "owner": row.attempt_owner,
                "phase": Phase.CLAIMED.value,
                "outcome": UNKNOWN,
                "code": code,
            }
            for row in rows
        ],
    )
    values = dict(statements.DOUBT) if due_at is None else {**statements.DOUBT, "next_attempt_at": due_at}
    ours = c.id.in_([row.id for row in rows])
    connection.execute(update(credential).where(where, ours).values(values), parameters)
    return sum(not row.no_login for row in rows)


def was_committed(connection: Connection, attempt: Attempt, transition: Transition) -> bool:
    """Whether this attempt's outcome was stored although nobody heard of it: the log is written in the same transaction."""
    log = attempt_log.c
    found = connection.execute(
        select(log.outcome, log.code).where(
            log.credential_id == attempt.credential.id,
            log.started_at == attempt.started_at,
            log.owner == attempt.owner,
        )
    ).first()
    after = transition.after
    return found is not None and tuple(found) == (after.last_outcome or UNKNOWN, after.last_code or "")


def read(connection: Connection, credential_id: str) -> Sequence[Entry]:
    """Newest first, an attempt under way included."""
    log = attempt_log.c
    entries = [
        Entry(
            started_at=row.started_at,
            ended_at=row.ended_at,
            generation=row.generation,
            owner=row.owner,
            phase=row.phase,
            outcome=row.outcome,
            code=row.code,
        )
        for row in connection.execute(
            select(attempt_log).where(log.credential_id == credential_id).order_by(log.started_at.desc())
        )
    ]
    under_way = connection.execute(
        select(c.attempt_started_at, c.generation, c.attempt_owner).where(
            c.id == credential_id, statements.OPEN_ATTEMPT
        )
    ).first()
    if under_way is None:
        return entries
    now = Entry(
        started_at=under_way.attempt_started_at,
        ended_at=None,
        generation=under_way.generation,
        owner=under_way.attempt_owner,
        phase=Phase.CLAIMED.value,
        outcome=UNKNOWN,
        code="under_way",
    )
    return [now, *entries]


def next_ids(connection: Connection, after: CredentialId | None, limit: int) -> Sequence[str]:
    """The next credentials by id, for a round over all of them."""
    query = select(c.id).order_by(c.id).limit(limit)
    return connection.scalars(query.where(c.id > after) if after is not None else query).all()


def forget(connection: Connection, ids: Sequence[str], before: datetime) -> None:
    log = attempt_log.c
    connection.execute(delete(attempt_log).where(log.credential_id.in_(ids), log.started_at < before))
