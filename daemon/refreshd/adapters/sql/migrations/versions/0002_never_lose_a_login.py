"""The attempt log, rescued tokens, grant storms, and lanes for every class of the order of work."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_REFUSED = sa.text("last_outcome = 'rejected'")


def upgrade() -> None:
    op.execute("UPDATE credential SET lane = CASE lane WHEN 1 THEN 2 WHEN 2 THEN 5 ELSE lane END")
    op.create_index(
        "ix_credential_refused",
        "credential",
        ["client", "attempted_at"],
        sqlite_where=_REFUSED,
        postgresql_where=_REFUSED,
    )
    op.create_table(
        "attempt_log",
        sa.Column("credential_id", sa.String(128), primary_key=True),
        sa.Column("started_at", sa.BigInteger, primary_key=True),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rescued_token",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("credential_id", sa.String(128), nullable=False),
        sa.Column("family", sa.String(32), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("refresh_token", sa.LargeBinary, nullable=False),
        sa.Column("access_token", sa.LargeBinary),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("token_type", sa.String(32)),
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("issued_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("rescued_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_rescued_token_credential", "rescued_token", ["credential_id"])
    op.create_table(
        "grant_storm",
        sa.Column("client", sa.String(32), primary_key=True),
        sa.Column("began_at", sa.BigInteger),
        sa.Column("counts_from", sa.BigInteger),
    )
    op.add_column("store", sa.Column("keys_adopted_at", sa.BigInteger))
