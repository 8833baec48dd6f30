"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SCHEDULED = sa.text("paused = 0 AND next_attempt_at IS NOT NULL")
_PENDING = sa.text("published_revision < revision")
_DEADLINED = sa.text("relogin_by IS NOT NULL AND health = 'active'")


def upgrade() -> None:
    op.create_table(
        "credential",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("client", sa.String(32), nullable=False),
        sa.Column("family", sa.String(32), nullable=False),
        sa.Column("refresh_token", sa.LargeBinary),
        sa.Column("access_token", sa.LargeBinary),
        sa.Column("key_id", sa.String(16)),
        sa.Column("token_type", sa.String(32)),
        sa.Column("scope", sa.String, nullable=False, server_default=""),
        sa.Column("issued_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("attempt_id", sa.String(192)),
        sa.Column("attempt_owner", sa.String(64)),
        sa.Column("attempt_started_at", sa.BigInteger),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("in_doubt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("health", sa.String(16), nullable=False, server_default="active"),
        sa.Column("reason", sa.String(32)),
        sa.Column("paused", sa.Integer, nullable=False, server_default="0"),
        sa.Column("removed_at", sa.BigInteger),
        sa.Column("next_attempt_at", sa.BigInteger),
        sa.Column("lane", sa.Integer, nullable=False, server_default="1"),
        sa.Column("refresh_at", sa.BigInteger),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("rejections", sa.Integer, nullable=False, server_default="0"),
        sa.Column("rejected_code", sa.String(64)),
        sa.Column("first_rejected_at", sa.BigInteger),
        sa.Column("condemned_at", sa.BigInteger),
        sa.Column("login_at", sa.BigInteger, nullable=False),
        sa.Column("rotated_at", sa.BigInteger, nullable=False),
        sa.Column("relogin_by", sa.BigInteger),
        sa.Column("relogin_step", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_outcome", sa.String(16)),
        sa.Column("last_code", sa.String(64)),
        sa.Column("attempted_at", sa.BigInteger),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("published_revision", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("unpublished_events", sa.String, nullable=False, server_default=""),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "ix_credential_schedule",
        "credential",
        ["client", "lane", "next_attempt_at"],
        sqlite_where=_SCHEDULED,
        postgresql_where=_SCHEDULED,
    )
    op.create_index("ix_credential_pending", "credential", ["id"], sqlite_where=_PENDING, postgresql_where=_PENDING)
    op.create_index(
        "ix_credential_relogin",
        "credential",
        ["client", "relogin_step", "relogin_by"],
        sqlite_where=_DEADLINED,
        postgresql_where=_DEADLINED,
    )
    op.create_table(
        "store",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("fingerprint_key", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_commit_at", sa.BigInteger),
    )
    op.create_table(
        "key_check",
        sa.Column("key_id", sa.String(16), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "fingerprint",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("credential_id", sa.String(128), nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_fingerprint_credential", "fingerprint", ["credential_id"])
    op.create_table(
        "client_fact",
        sa.Column("client", sa.String(32), primary_key=True),
        sa.Column("sliding_proven_at", sa.BigInteger, nullable=False),
    )
