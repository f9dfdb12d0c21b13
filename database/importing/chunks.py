"""Changes many rows in short write transactions: chunks of staged rows, ranges of customers.

Law: the number of rows in a transaction adapts to the duration of earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, bindparam, func, select

from database.engine import kept_figures
from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.session import Database
from database.importing.staging import Staging
from database.tables import tables

T = TypeVar("T")
Change = Callable[[Connection, int, int], T]


def change_by_rows(
    database: Database,
    staging: Staging,
    pace: AdaptiveBatchSize,
    change: Change[T],
    *,
    after: int = 0,
    one_date: bool = False,
) -> Generator[tuple[int, T], None, None]:
    """Apply `change(connection, after, until)` to the staged rows with `after` < n <= `until`, chunk by chunk.

    The caller closes the iterator; the rows stay attached until then.

    Parameters
    ----------
    after
        The last row that was already applied.
    one_date
        Whether each chunk has rows of one date only.

    Yields
    ------
    the target number of rows of the chunk, and the result of the change.
    """
    ends = _chunk_end(staging, one_date=one_date)
    with staging.attached(database) as attached:
        while True:
            size = pace.size
            until = attached.connection.execute(ends, {"after": after, "size": size}).scalar_one()
            if until is None:
                return
            with pace.timed(attached.write()) as connection:
                changed = change(connection, after, until)
                kept_figures.changed(connection)
            after = until
            yield size, changed


def _chunk_end(staging: Staging, *, one_date: bool) -> Select[Any]:
    """Select the last n of the next `size` rows; with `one_date`, of those with the first row's date."""
    r = staging.rows
    some = select(r.c.n, r.c.as_of).where(r.c.n > bindparam("after")).order_by(r.c.n).limit(bindparam("size"))
    chunk = some.subquery("chunk")
    if not one_date:
        return select(func.max(chunk.c.n))
    first = func.first_value(chunk.c.as_of).over(order_by=chunk.c.n).label("first")
    dated = select(chunk.c.n, chunk.c.as_of, first).subquery("dated")
    return select(func.max(dated.c.n)).where(dated.c.as_of == dated.c.first)


def change_by_customers(database: Database, pace: AdaptiveBatchSize, change: Change[T]) -> Iterator[T]:
    """Apply `change(connection, after, until)` to the customers with `after` < id <= `until`, range by range."""
    c = tables.customers
    with database.read() as connection:
        last = connection.execute(select(func.coalesce(func.max(c.c.id), 0))).scalar_one()
    keys, at = AdaptiveBatchSize(20_000, 500, 200_000), 0
    while at < last:
        until = at + keys.size
        with keys.timed(database.write()) as connection:
            changed = change(connection, at, until)
            kept_figures.changed(connection)
        yield changed
        at = until
    pace.longest_s = max(pace.longest_s, keys.longest_s)
