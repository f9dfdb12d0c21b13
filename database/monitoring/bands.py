"""Bands of a number: quantiles of the facts of one date, so that all runs of a model version have the same bands.

Law: the same facts give the same bands on any database; a band's name tells its ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, func, select

from database.customers import facts
from database.customers.customer_base import column_names, snapshots_table
from shared.schema.features import Schema

#: Number of bands. They hold equally many customers where values are distinct.
BANDS = 5
#: Between the lower and the upper end of a band in its name.
TO = "|"


def edges(connection: Connection, schema: Schema, features: Iterable[str], until: str) -> dict[str, list[float]]:
    """Return where the second band and those after it begin, by feature, in the newest facts up to a date."""
    snap, names = snapshots_table(schema), column_names(schema)
    newest = select(func.max(snap.c.as_of)).where(snap.c.as_of <= until).scalar_subquery()
    found = {}
    for feature in features:
        value = snap.c[names[feature]]
        of_date = (snap.c.as_of == newest, snap.c.known_at <= snap.c.as_of, value.is_not(None), facts.published(snap))
        ranked = select(value.label("value"), func.ntile(BANDS).over(order_by=value).label("band")).where(*of_date)
        tiles = ranked.subquery()
        lows = select(func.min(tiles.c.value)).group_by(tiles.c.band).order_by(tiles.c.band)
        first, *later = [float(low) for low in connection.execute(lows).scalars()] or [0.0]
        found[feature] = sorted({low for low in later if low > first})
    return found


def name_of(value: float, begins: Sequence[float]) -> str:
    """Return the name of the band that a value lies in."""
    at = bisect_right(begins, value)
    low = f"{begins[at - 1]:.12g}" if at else ""
    return f"{low}{TO}{begins[at]:.12g}" if at < len(begins) else f"{low}{TO}"


def lower_end(name: str) -> float:
    """Return where a band begins, by its name."""
    low = name.partition(TO)[0]
    return float(low) if low else float("-inf")


def words(name: str) -> str:
    """Return a band's name for people."""
    low, _, high = name.partition(TO)
    if not low or not high:
        return f"below {high}" if high else f"{low} and more" if low else "every value"
    return f"{low} to below {high}"
