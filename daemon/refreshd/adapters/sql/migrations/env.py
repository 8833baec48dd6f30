"""Alembic's entry: migrate over the connection that our own code opened, in one transaction, DDL included."""

from alembic import context

from refreshd.adapters.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
