"""Which keys each daemon holds, and the few credentials that are held."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_HELD = sa.text("health = 'held'")


def upgrade() -> None:
    op.add_column("replica", sa.Column("key_ids", sa.String))
    op.create_index("ix_credential_held", "credential", ["id"], sqlite_where=_HELD, postgresql_where=_HELD)
