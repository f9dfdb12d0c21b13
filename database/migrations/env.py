"""Runs all migrations for Alembic in one transaction, so that a killed migration changes nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import context

from database.engine.session import Database
from database.tables.tables import metadata


def run() -> None:
    """Migrate the file that `database.engine.migrate.config` names."""
    path = context.config.get_main_option("database_path")
    assert path is not None
    database = Database(Path(path), pooled=False)
    with database.write() as connection:
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        context.run_migrations()


run()
