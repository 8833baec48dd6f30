"""A wall clock that jumped: every instant of the schedule moves with it, so that nothing is early, late or stuck (protocol R13)."""

from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Table, case, literal, select, update

from refreshd.adapters.sql.engines import DatabaseTime
from refreshd.adapters.sql.schema import (
    credential,
    duty,
    grant_storm,
    replica,
    rescued_token,
    revocation,
    store,
    to_micros,
)

_MOVED: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (
        credential,
        (
            "next_attempt_at",
            "refresh_at",
            "issued_at",
            "expires_at",
            "attempt_started_at",
            "lease_until",
            "attempted_at",
            "first_rejected_at",
            "condemned_at",
            "updated_at",
        ),
    ),
    (rescued_token, ("issued_at", "expires_at")),
    (revocation, ("next_attempt_at",)),
    (grant_storm, ("began_at", "counts_from")),
    (store, ("last_commit_at",)),
    (replica, ("seen_at",)),
    (duty, ("until",)),
)


_SENT = ("attempt_started_at",)
AHEAD = timedelta(seconds=3)
"""More than a sign of life can be, that was just moved; less than a jump that is acted on."""


def shift(connection: Connection, by: timedelta, *, seen: DatabaseTime | None, starting: bool = False) -> None:
    """Where several daemons see one jump back, only the first of them finds the store's sign of life in the future.

    `seen`: the time of the clock that they share. Dates that people and providers know (login, rotation, deadline) stay; consumers
    are shown the moved expiry. `starting`: how long ago the open attempts began is judged by the clock that they were dated by.
    """
    if seen is not None:
        last = connection.scalar(select(store.c.last_commit_at).with_for_update())
        if last is None or last - seen.at <= AHEAD:
            return
    for table, names in _MOVED:
        values: dict[str, Any] = {name: _moved(table.c[name], by) for name in names if not (starting and name in _SENT)}
        if table is credential:
            values["revision"] = credential.c.revision + case((credential.c.expires_at.is_not(None), 1), else_=0)
        connection.execute(update(table).values(values))


def _moved(column: Column[Any], by: timedelta) -> Any:
    return column + literal(to_micros(by), BigInteger)
