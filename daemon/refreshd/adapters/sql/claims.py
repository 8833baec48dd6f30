"""Claiming due work in the order of protocol §4: each claim is a committed intent before anything is sent (R1)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import Connection, RowMapping

from refreshd.adapters.sql import claim_statements, history, holds
from refreshd.adapters.sql.claim_statements import Work
from refreshd.adapters.sql.rows import RowCodec, credential_of
from refreshd.domain.credential import AttemptId, ClientName, CredentialId, Lane, lane_of
from refreshd.domain.events import CredentialHeld
from refreshd.domain.steps import Reached, Step
from refreshd.ports.sealer import Undecryptable
from refreshd.ports.store import Attempt, Capacity, Claims

STILL_IN_TIME = timedelta(seconds=2)
"""An access token with less life than one request takes is served as an expired one: it would die on the way."""


class Claimer:
    """Works inside one transaction. `owner` names this process in the attempts that it opens."""

    def __init__(self, codec: RowCodec, *, owner: str, reached: Reached) -> None:
        self._codec = codec
        self._owner = owner
        self._reached = reached

    def claim(
        self,
        connection: Connection,
        *,
        now: datetime,
        capacity: Mapping[ClientName, Capacity],
        due: Mapping[ClientName, Collection[Lane]],
        total: int,
        holding: Collection[CredentialId],
    ) -> Claims:
        """Take at most `total` rows from the lanes that are `due`; not those in `holding`, which this process still works on."""
        held_back = _padded(holding)
        values = {"clients": list(due), "now": now, "holding": held_back}
        if any(Lane.IN_DOUBT in lanes for lanes in due.values()):
            history.close_open(connection, claim_statements.LAPSED, values, code="lease_ran_out")
            due = {client: {*lanes, Lane.RETRYING} for client, lanes in due.items()}  # where those without a login go
        rows: list[RowMapping] = []
        more: set[ClientName] = set()
        for client, lanes in ((name, due[name]) for name in capacity if name in due):
            room = capacity[client]
            wanted = min(room.count, total - len(rows))
            taken = self._take(connection, client, room, wanted, lanes=lanes, now=now, held_back=held_back)
            rows.extend(taken)
            if len(taken) >= wanted:  # also when others had taken all the room
                more.add(client)
        machines = {client for client, room in capacity.items() if room.machine}
        claims = self._attempts(connection, rows, now, more=frozenset(more), machines=machines)
        self._reached(Step.CLAIM_WRITTEN)
        return claims

    def _take(
        self,
        connection: Connection,
        client: ClientName,
        room: Capacity,
        wanted: int,
        *,
        lanes: Collection[Lane],
        now: datetime,
        held_back: Sequence[str],
    ) -> Sequence[RowMapping]:
        values = {"b_client": client, "now": now, "until": now + room.lease, "owner": self._owner, "holding": held_back}
        values["keys"] = self._codec.key_ids
        rows: list[RowMapping] = []
        for work, most in _order_of_work(room):
            if len(rows) >= wanted:
                break
            if work is not Work.PROBE and claim_statements.LANE_OF[work] not in lanes:
                continue
            values |= {"count": min(wanted - len(rows), most), "batch": f"{uuid4().hex}/"}
            if work is Work.LIVING:
                values |= {"horizon": now - room.horizon, "alive": now + STILL_IN_TIME}
            rows.extend(connection.execute(claim_statements.CLAIM[work], values).mappings())
        return rows

    def _attempts(
        self,
        connection: Connection,
        rows: Sequence[RowMapping],
        now: datetime,
        *,
        more: frozenset[ClientName],
        machines: Collection[ClientName],
    ) -> Claims:
        attempts: list[Attempt] = []
        held: list[CredentialHeld] = []
        for row in rows:
            before = credential_of(row)
            token = None
            try:
                token = self._codec.refresh_token(row)
            except Undecryptable:
                if before.client not in machines:
                    held.append(holds.undecryptable(connection, row, now))
                    continue
            attempts.append(
                Attempt(
                    id=AttemptId(row["attempt_id"]),
                    owner=self._owner,
                    credential=before,
                    refresh_token=token,
                    started_at=row["attempt_started_at"],
                    lease_until=row["lease_until"],
                )
            )
        return Claims(attempts=attempts, held=held, more=more)


def give_back(connection: Connection, attempt: Attempt) -> None:
    """Close an attempt of which nothing was sent: the row is as due as it was before."""
    free = replace(attempt.credential, next_attempt_at=attempt.started_at)
    values = {"b_id": free.id, "b_attempt_id": attempt.id, "set_lane": int(lane_of(free))}
    connection.execute(claim_statements.RELEASE, values)


def _padded(ids: Collection[CredentialId]) -> list[str]:
    """With names that nobody bears, up to a power of two: few lengths mean few texts of a statement, and a prepared one each."""
    return [*ids, *[""] * ((1 << len(ids).bit_length()) - len(ids))]


def _order_of_work(room: Capacity) -> Sequence[tuple[Work, int]]:
    """Which classes are asked in turn, and for how many at most (protocol §4).

    Repetitions get their share before first attempts, and what is left after them.
    """
    if room.probe:
        return ((Work.PROBE, 1),)
    most = room.count
    return (
        (Work.IN_DOUBT, most),
        (Work.ENDING, most),
        *(((Work.RETRYING, room.retries),) if room.retries > 0 else ()),
        (Work.LIVING, most),
        (Work.ORDINARY, most),
        (Work.UNDATED, most),
        (Work.RETRYING, most),
        (Work.CONFIRMING, most),
    )
