"""The tables, as code reads them. What creates them is `migrations/`; a test holds the two together."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    text,
)

HEAD = "0006"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_micros(length: timedelta) -> int:
    """A length as the integer that the database adds to an instant."""
    return length // MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as microseconds since 1970: sorts, compares and indexes alike on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else EPOCH + timedelta(microseconds=value)


metadata = MetaData()

credential = Table(
    "credential",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("client", String(32), nullable=False),
    Column("family", String(32), nullable=False),
    Column("refresh_token", LargeBinary),
    Column("access_token", LargeBinary),
    Column("key_id", String(16)),
    Column("token_type", String(32)),
    Column("scope", String, nullable=False, server_default=""),
    Column("issued_at", Instant),
    Column("expires_at", Instant),
    Column("generation", BigInteger, nullable=False),
    Column("attempt_id", String(192)),
    Column("attempt_owner", String(64)),
    Column("attempt_started_at", Instant),
    Column("lease_until", Instant),
    Column("in_doubt", Integer, nullable=False, server_default="0"),
    Column("health", String(16), nullable=False, server_default="active"),
    Column("reason", String(32)),
    Column("paused", Integer, nullable=False, server_default="0"),
    Column("removed_at", Instant),
    Column("next_attempt_at", Instant),
    Column("lane", Integer, nullable=False),
    Column("refresh_at", Instant),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("rejections", Integer, nullable=False, server_default="0"),
    Column("rejected_code", String(64)),
    Column("first_rejected_at", Instant),
    Column("condemned_at", Instant),
    Column("login_at", Instant, nullable=False),
    Column("rotated_at", Instant, nullable=False),
    Column("relogin_by", Instant),
    Column("relogin_step", Integer, nullable=False, server_default="0"),
    Column("last_outcome", String(16)),
    Column("last_code", String(64)),
    Column("attempted_at", Instant),
    Column("revision", BigInteger, nullable=False),
    Column("published_revision", BigInteger, nullable=False, server_default="0"),
    Column("unpublished_events", String, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("account", String(255)),
    Column("requested_at", Instant),
)

# SQLite uses a partial index only for a query that repeats its condition to the letter.
SCHEDULED = text("paused = 0 AND next_attempt_at IS NOT NULL")
PENDING = text("published_revision < revision")
DEADLINED = text("relogin_by IS NOT NULL AND health = 'active'")
REFUSED = text("last_outcome = 'rejected'")
HELD = text("health = 'held'")

Index(
    "ix_credential_schedule",
    credential.c.client,
    credential.c.lane,
    credential.c.next_attempt_at,
    sqlite_where=SCHEDULED,
    postgresql_where=SCHEDULED,
)
Index("ix_credential_pending", credential.c.updated_at, sqlite_where=PENDING, postgresql_where=PENDING)
Index(
    "ix_credential_relogin",
    credential.c.client,
    credential.c.relogin_step,
    credential.c.relogin_by,
    sqlite_where=DEADLINED,
    postgresql_where=DEADLINED,
)

Index(
    "ix_credential_refused",
    credential.c.client,
    credential.c.attempted_at,
    sqlite_where=REFUSED,
    postgresql_where=REFUSED,
)

Index("ix_credential_held", credential.c.id, sqlite_where=HELD, postgresql_where=HELD)

attempt_log = Table(
    "attempt_log",
    metadata,
    Column("credential_id", String(128), primary_key=True),
    Column("started_at", Instant, primary_key=True),
    Column("ended_at", Instant, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("code", String(64), nullable=False),
    sqlite_with_rowid=False,
)

rescued_token = Table(
    "rescued_token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("credential_id", String(128), nullable=False),
    Column("family", String(32), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("refresh_token", LargeBinary, nullable=False),
    Column("access_token", LargeBinary),
    Column("key_id", String(16), nullable=False),
    Column("token_type", String(32)),
    Column("scope", String, nullable=False),
    Column("issued_at", Instant),
    Column("expires_at", Instant),
    Column("rescued_at", Instant, nullable=False),
    Column("client", String(32)),  # of a login whose account was not checked yet; its family is its own
)
Index("ix_rescued_token_credential", rescued_token.c.credential_id)

grant_storm = Table(
    "grant_storm",
    metadata,
    Column("client", String(32), primary_key=True),
    Column("began_at", Instant),
    Column("counts_from", Instant),
)

store = Table(
    "store",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("environment", String(64), nullable=False),
    Column("fingerprint_key", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_commit_at", Instant),
    Column("keys_adopted_at", Instant),
    Column("daemon_key_id", String(16)),
    Column("requested_at", Instant),
)

key_check = Table(
    "key_check",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

fingerprint = Table(
    "fingerprint",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("credential_id", String(128), nullable=False),
    Column("seen_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_fingerprint_credential", fingerprint.c.credential_id)

client_fact = Table(
    "client_fact",
    metadata,
    Column("client", String(32), primary_key=True),
    Column("sliding_proven_at", Instant, nullable=False),
)

provider_metadata = Table(
    "provider_metadata",
    metadata,
    Column("issuer", String(512), primary_key=True),
    Column("document", String, nullable=False),
    Column("fetched_at", Instant, nullable=False),
)

revocation = Table(
    "revocation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("credential_id", String(128), nullable=False),
    Column("client", String(32), nullable=False),
    Column("family", String(32)),
    Column("refresh_token", LargeBinary),
    Column("key_id", String(16)),
    Column("asked_at", Instant, nullable=False),
    Column("next_attempt_at", Instant, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("last_code", String(64)),
)
Index("ix_revocation_schedule", revocation.c.next_attempt_at)

replica = Table(
    "replica",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("seen_at", Instant, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("key_ids", String),
)

duty = Table(
    "duty",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("owner", String(64)),
    Column("until", Instant, nullable=False),
)
