"""Alembic's entry: migrations run on the connection that `database.migrate` holds."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
context.run_migrations()
