"""The database as a file, for the rest of the system: its origin, locks, copies and space.

Another database would provide the same names from other modules.
"""

from __future__ import annotations

from database.engine.sqlite.file_backup import Content, is_readable, refuse_unreadable
from database.engine.sqlite.file_backup import content as read_content
from database.engine.sqlite.file_backup import copy as copy_database
from database.engine.sqlite.file_backup import replace as replace_database
from database.engine.sqlite.file_lock import alone as exclusive_use
from database.engine.sqlite.file_lock import share as shared_use
from database.engine.sqlite.foreign_file import refuse_foreign_file
from database.engine.sqlite.space import free_bytes, free_disk, require_reserve, shrink

__all__ = [
    "Content",
    "copy_database",
    "exclusive_use",
    "free_bytes",
    "free_disk",
    "is_readable",
    "read_content",
    "refuse_foreign_file",
    "refuse_unreadable",
    "replace_database",
    "require_reserve",
    "shared_use",
    "shrink",
]
