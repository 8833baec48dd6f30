"""Which daemons work on this store, and who of them keeps house."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "replica",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
    )
    duty = op.create_table(
        "duty",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64)),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(duty, [{"name": "housekeeping", "owner": None, "until": 0}])
