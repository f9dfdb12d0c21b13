"""The files of the import folder that no job has taken yet.

Law: a file is known by name, size and time of change: it is imported once, stays where it is, and again only when it
was written anew. A link is no file: whoever may write here must not have other files of this machine read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from database.customers import customer_base
from database.engine.session import Connection
from database.jobs import schedule
from gateway.services import kinds
from gateway.services.jobs.params import ImportParams, OutcomesParams
from gateway.services.jobs.work import JobKind
from shared.errors import NoCustomers

ENDINGS = (".csv", ".parquet")
#: A file that was changed this recently may still be being written.
SETTLED_S = 30.0
NO_BASE = "The import folder needs a customer base: import the first table by hand, which says what its columns mean."


def new_files(connection: Connection, folder: Path) -> Iterator[tuple[JobKind[Any], Any, str]]:
    """Yield the jobs for the folder's new files, by name: `outcomes*` are ends, all others customers."""
    present = customer_base.get(connection)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in found:
        is_own = path.is_file() and not path.is_symlink()
        if path.suffix.lower() not in ENDINGS or not is_own or path.name.startswith("."):
            continue
        state = path.stat()
        question = f"{path.name} {state.st_size} {state.st_mtime_ns}"
        known = (kinds.IMPORT.name, kinds.IMPORT_OUTCOMES.name)
        if time.time() - state.st_mtime < SETTLED_S or schedule.was_asked(connection, known, question):
            continue
        if present is None:
            raise NoCustomers(NO_BASE)
        if path.name.lower().startswith("outcomes"):
            yield kinds.IMPORT_OUTCOMES, OutcomesParams(str(path.resolve()), path.name), question
        else:
            params = ImportParams(str(path.resolve()), path.name, schema=present.schema.as_dict())
            yield kinds.IMPORT, params, question
