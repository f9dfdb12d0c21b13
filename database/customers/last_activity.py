"""`last_activity`: days since the last login in words (docs/api.md#figures), in Python and in SQL.

Law: both give the same text for every number of days.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import ColumnElement, Text, case, cast, literal, null

from database.engine.expressions import floor


def last_activity(days: float | None) -> str | None:
    """Return a number of days in words.

    >>> last_activity(0), last_activity(1), last_activity(12), last_activity(None)
    ('Today', 'Yesterday', '12 days ago', None)
    """
    if days is None:
        return None
    whole = math.floor(days)
    return {0: "Today", 1: "Yesterday"}.get(whole, f"{whole} days ago")


def last_activity_sql(days: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the SQL expression of these words, given that of the number of days."""
    whole = floor(days)
    text = cast(whole, Text) + literal(" days ago", Text)
    return case((days.is_(None), null()), (whole == 0, "Today"), (whole == 1, "Yesterday"), else_=text)
