"""Rows ↔ domain values. The only place where a stored ciphertext is sealed or opened."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from refreshd.domain.credential import (
    AccessToken,
    ClientName,
    Credential,
    CredentialId,
    FamilyId,
    Health,
    Lane,
    Reason,
    Status,
)
from refreshd.domain.events import StreamEvent
from refreshd.domain.secret import Secret
from refreshd.domain.transition import Transition
from refreshd.ports.publisher import Snapshot
from refreshd.ports.sealer import Sealer, Undecryptable
from refreshd.ports.store import Attempt

Row = RowMapping


class RowCodec:
    """Knows the environment and the keys, so that no other code handles ciphertext."""

    def __init__(self, sealer: Sealer, environment: str) -> None:
        self._sealer = sealer
        self._environment = environment

    @property
    def key_id(self) -> str:
        return self._sealer.primary_key_id

    @property
    def key_ids(self) -> Sequence[str]:
        """Rows under other keys cannot be read here."""
        return self._sealer.key_ids

    def seal(self, secret: Secret, column: str, row_id: str) -> bytes:
        return self._sealer.seal(secret, self._context(column, row_id))

    def open(self, blob: bytes, column: str, row_id: str) -> Secret:
        """Raises `Undecryptable`."""
        return self._sealer.open(blob, self._context(column, row_id))

    def refresh_token(self, row: Row) -> Secret:
        """Raises `Undecryptable`, also when there is none."""
        if row["refresh_token"] is None:
            raise Undecryptable("no refresh token is stored")
        return self.open(row["refresh_token"], "refresh_token", row["id"])

    def access(self, row: Row) -> AccessToken | None:
        """The stored access token if it is dated and readable. An unreadable one is replaced at its next refresh."""
        if row["access_token"] is None or row["issued_at"] is None:
            return None
        try:
            value = self.open(row["access_token"], "access_token", row["id"])
        except Undecryptable:
            return None
        return AccessToken(
            value=value, token_type=row["token_type"], issued_at=row["issued_at"], expires_at=row["expires_at"]
        )

    def snapshot(self, row: Row) -> Snapshot:
        status = status_of(row)
        health = Health(row["health"])
        return Snapshot(
            id=CredentialId(row["id"]),
            client=ClientName(row["client"]),
            status=status,
            reason=Reason(row["reason"]) if row["reason"] else None,
            generation=row["generation"],
            revision=row["revision"],
            in_doubt=bool(row["in_doubt"]),
            relogin_soon=row["relogin_step"] > 0 and health is Health.ACTIVE,
            relogin_by=row["relogin_by"],
            relogin_since=row["condemned_at"] if health is Health.RELOGIN_REQUIRED else None,
            next_refresh_at=row["refresh_at"] if status is Status.ACTIVE else None,
            scope=row["scope"],
            access=self.access(row) if status in (Status.ACTIVE, Status.HELD) else None,
            updated_at=row["updated_at"],
            events=tuple(StreamEvent(name) for name in row["unpublished_events"].split(",") if name),
        )

    def committed(self, attempt: Attempt, transition: Transition, *, now: datetime) -> dict[str, Any]:
        """The values of the commit statement: the next credential and its tokens, sealed.

        A success seals the refresh token anew even if the provider kept it, so that a row rests under one key.
        """
        after, access = transition.after, transition.access
        refresh = transition.refresh_token or (attempt.refresh_token if access else None)
        return {
            "set_refresh_token": self.seal(refresh, "refresh_token", after.id) if refresh else None,
            "set_key_id": self.key_id if refresh or access else None,
            "set_access_token": self.seal(access.value, "access_token", after.id) if access else None,
            "set_token_type": access.token_type if access else None,
            "withdraw": int(transition.withdraw_access),
            "bump": int(transition.visible),
            "warnings_left": transition.warnings_left,
            "events": encode_events(transition.stream),
            "set_updated_at": now,
            **{f"set_{name}": value for name, value in credential_columns(after).items()},
        }

    def _context(self, column: str, row_id: str) -> str:
        return f"{self._environment}\x1f{column}\x1f{row_id}"


def credential_columns(credential: Credential) -> dict[str, Any]:
    """The columns that `settle` decides. Not `paused`, `revision`, `family`: those have other owners."""
    return {
        "generation": credential.generation,
        "scope": credential.scope,
        "rotated_at": credential.rotated_at,
        "issued_at": credential.issued_at,
        "expires_at": credential.expires_at,
        "refresh_at": credential.refresh_at,
        "next_attempt_at": credential.next_attempt_at,
        "lane": int(credential.lane),
        "health": credential.health.value,
        "reason": credential.reason.value if credential.reason else None,
        "in_doubt": int(credential.in_doubt),
        "failures": credential.failures,
        "rejections": credential.rejections,
        "rejected_code": credential.rejected_code,
        "first_rejected_at": credential.first_rejected_at,
        "condemned_at": credential.condemned_at,
        "relogin_by": credential.relogin_by,
        "last_outcome": credential.last_outcome,
        "last_code": credential.last_code,
        "attempted_at": credential.attempted_at,
    }


def credential_of(row: Row) -> Credential:
    return Credential(
        id=CredentialId(row["id"]),
        client=ClientName(row["client"]),
        family=FamilyId(row["family"]),
        scope=row["scope"],
        generation=row["generation"],
        login_at=row["login_at"],
        rotated_at=row["rotated_at"],
        issued_at=row["issued_at"],
        expires_at=row["expires_at"],
        refresh_at=row["refresh_at"],
        next_attempt_at=row["next_attempt_at"],
        lane=Lane(row["lane"]),
        health=Health(row["health"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        in_doubt=bool(row["in_doubt"]),
        failures=row["failures"],
        rejections=row["rejections"],
        rejected_code=row["rejected_code"],
        first_rejected_at=row["first_rejected_at"],
        condemned_at=row["condemned_at"],
        relogin_by=row["relogin_by"],
        relogin_step=row["relogin_step"],
        last_outcome=row["last_outcome"],
        last_code=row["last_code"],
        attempted_at=row["attempted_at"],
    )


def status_of(row: Row) -> Status:
    if row["removed_at"] is not None:
        return Status.REMOVED
    return Status.PAUSED if row["paused"] else Status(row["health"])


def encode_events(events: tuple[StreamEvent, ...]) -> str:
    """Appended to `unpublished_events`; only ever grows at its end, so what was published is a prefix."""
    return "".join(f"{event}," for event in events)
