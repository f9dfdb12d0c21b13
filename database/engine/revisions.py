"""The migrations that this version has, and so the databases that it can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

MIGRATIONS = Path(__file__).parents[1] / "migrations" / "versions"
_REVISION = re.compile(r"""^revision = ['"]([^'"]+)""", re.M)
_NAMED = re.compile(r"""^down_revision = (?:None|['"]([^'"]+))""", re.M)
#: Migrations of 1.0.0, which one baseline replaced.
MADE_BY_1_0 = tuple(f"{number:04}" for number in range(1, 10))


@cache
def revisions() -> Mapping[str, str | None]:
    """Return each migration's predecessor, read from the files because Alembic is slow to import."""
    texts = [script.read_text(encoding="utf-8") for script in MIGRATIONS.glob("[0-9]*.py")]
    found = {name: _NAMED.findall(text) for text in texts for name in _REVISION.findall(text)}
    return {name: before[0] or None for name, before in found.items()}


def newest_revision() -> str:
    """Return the newest migration."""
    known = revisions()
    (newest,) = set(known) - set(known.values())
    return newest


def why_unreadable(revision: str) -> str | None:
    """Return why this version can't read a database with a migration, as the end of a sentence, or None."""
    if revision in revisions():
        return None
    if revision in MADE_BY_1_0:
        return (
            "was made by RetainStream 1.0.0, whose tables this version can't read: set DATABASE_PATH to a new file "
            "and import your tables again with `retainstream import`"
        )
    return f"was made by a newer version of RetainStream (migration {revision}): use that version"
