"""The environment that web, worker and commands run in: settings, database, ML client, clock.

Law: `open_environment` makes it, once per process; nothing changes it afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from database.engine.files import refuse_foreign_file
from database.engine.session import Database
from database.engine.waiting import AS_LONG_AS_IT_TAKES, Waiting
from gateway.clients.ml_client import MLClient
from gateway.settings import Settings, load_settings
from shared.clock import Clock, utc_now


@dataclass(frozen=True)
class Environment:
    """The settings, database, ML client and clock of a process."""

    settings: Settings
    database: Database
    ml: MLClient
    clock: Clock


def open_environment(
    settings: Settings | None = None,
    *,
    clock: Clock = utc_now,
    database: Database | None = None,
    ml: MLClient | None = None,
    pooled: bool = True,
    waiting: Waiting = AS_LONG_AS_IT_TAKES,
    cache_mb: int = 64,
) -> Environment:
    """Open the database and the ML client that the settings name.

    Parameters
    ----------
    settings
        Read from the process's environment if absent.
    clock, database, ml
        Given by tests; made from the settings otherwise.
    pooled
        Whether the database keeps connections; a command, which ends soon, needs none.
    waiting
        How this process's writers wait for the write lock.
    cache_mb
        Pages that each connection to the database keeps in memory.

    Raises
    ------
    InvalidInput
        The settings can't be used; in production that includes default secrets.
    NotOurDatabase
        The file at DATABASE_PATH belongs to another program.
    """
    settings = settings or load_settings()
    database = database or Database(settings.database_path, pooled=pooled, waiting=waiting, cache_mb=cache_mb)
    refuse_foreign_file(database.path)
    ml = ml or MLClient(settings.python_service_url, settings.service_token)
    return Environment(settings, database, ml, clock)
