"""Runs the migrations on the connection that `ledger.database.migrate` hands over."""

from typing import Any

from alembic import context


def leave_behind(**told: Any) -> None:
    """Lets programs know that they are too old for a version, where it says so by its `oldest_program`."""
    oldest = getattr(told["step"].up_revision.module, "oldest_program", None)
    if oldest is not None:
        told["ctx"].connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{oldest}'")


connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=True, on_version_apply=leave_behind)
with context.begin_transaction():
    context.run_migrations()
