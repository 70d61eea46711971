"""Alembic's entry: runs on the connection that `bot_core.store.upgrade` (or the command line) gives it."""

import os

from alembic import context
from sqlalchemy import Connection

from bot_core.schema import metadata
from bot_core.store.upgrade import VERSION_TABLE, connected, ours


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        include_object=ours,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    with connected(os.environ.get("DATABASE_URL", "sqlite:///tradingbot.db")) as own:
        _run(own)
