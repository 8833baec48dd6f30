"""When a consumer's request was last accepted: for each credential, and for any."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("credential", sa.Column("requested_at", sa.BigInteger))
    op.add_column("store", sa.Column("requested_at", sa.BigInteger))
