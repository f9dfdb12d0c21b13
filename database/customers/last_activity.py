"""`last_activity`: days since the last login in words (docs/api.md#figures), in Python and in SQL.

Law: both say the same of every number of days.
"""

from __future__ import annotations


def last_activity(days: float | None) -> str | None:
    """Return a number of days in words.

    >>> last_activity(0), last_activity(1), last_activity(12), last_activity(None)
    ('Today', 'Yesterday', '12 days ago', None)
    """
    if days is None:
        return None
    return {0: "Today", 1: "Yesterday"}.get(int(days), f"{int(days)} days ago")


def last_activity_sql(days: str) -> str:
    """Return the same as an SQL expression over another one."""
    whole = f"CAST({days} AS INTEGER)"
    return (
        f"CASE WHEN {days} IS NULL THEN NULL WHEN {whole} = 0 THEN 'Today' WHEN {whole} = 1 THEN 'Yesterday' "
        f"ELSE {whole} || ' days ago' END"
    )
