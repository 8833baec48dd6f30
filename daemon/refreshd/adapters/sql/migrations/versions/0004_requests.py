"""When a consumer's request was last accepted, for each credential and for any; what is to be published, newest first."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_PENDING = sa.text("published_revision < revision")


def upgrade() -> None:
    op.add_column("credential", sa.Column("requested_at", sa.BigInteger))
    op.add_column("store", sa.Column("requested_at", sa.BigInteger))
    op.drop_index("ix_credential_pending", "credential")
    op.create_index(
        "ix_credential_pending", "credential", ["updated_at"], sqlite_where=_PENDING, postgresql_where=_PENDING
    )
