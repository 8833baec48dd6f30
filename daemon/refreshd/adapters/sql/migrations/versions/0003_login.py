"""Whose account a credential is, logins that wait to be checked, what providers publish, tokens that wait to be revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("credential", sa.Column("account", sa.String(255)))
    op.add_column("store", sa.Column("daemon_key_id", sa.String(16)))
    op.add_column("rescued_token", sa.Column("client", sa.String(32)))
    op.create_table(
        "provider_metadata",
        sa.Column("issuer", sa.String(512), primary_key=True),
        sa.Column("document", sa.String, nullable=False),
        sa.Column("fetched_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "revocation",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("credential_id", sa.String(128), nullable=False),
        sa.Column("client", sa.String(32), nullable=False),
        sa.Column("family", sa.String(32)),
        sa.Column("refresh_token", sa.LargeBinary),
        sa.Column("key_id", sa.String(16)),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_code", sa.String(64)),
    )
    op.create_index("ix_revocation_schedule", "revocation", ["next_attempt_at"])
