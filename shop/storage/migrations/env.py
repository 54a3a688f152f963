"""Alembic's entry: runs the migrations on the connection that `shop.storage.migrate` hands over."""

from alembic import context

from shop.storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=metadata, transactional_ddl=connection.dialect.name == "sqlite"
)
with context.begin_transaction():
    context.run_migrations()
