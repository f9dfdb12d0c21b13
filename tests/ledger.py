"""Scores as a test states them, row by row, entered by the product's own statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from database.scoring import ranks, runs

COLUMNS = ("customer_id", *runs.SCORE_COLUMNS, "monthly_price")


def a_score(probability: float) -> tuple[Any, ...]:
    """What a score says, of one probability."""
    return (probability, max(probability, 1 - probability), 0, 0, probability, -1, 0.0, -1, 0.0)


def append(
    connection: Connection,
    run_id: int,
    ids: Sequence[int],
    scores: Sequence[Sequence[Any]],
    prices: Sequence[float | None] | None = None,
    *,
    ranked: bool = False,
) -> None:
    """Add scores (in the order of `runs.SCORE_COLUMNS`) to a run, and to its ranking."""
    rows = list(zip(ids, scores, prices or [None] * len(ids), strict=True))
    rows.sort(key=lambda row: -row[1][0])
    # In the place of the columns that a scoring run hands over.
    connection.exec_driver_sql(f"CREATE TEMP TABLE incoming_rows ({', '.join(COLUMNS)})")
    marks = ", ".join("?" for _ in COLUMNS)
    for id, score, price in rows:
        connection.exec_driver_sql(f"INSERT INTO incoming_rows VALUES ({marks})", (id, *score, price))
    if rows:
        runs.append(connection, run_id, range(1, len(rows) + 1))
        if ranked:
            ranks.rank(connection, run_id, range(1, len(rows) + 1))
    connection.exec_driver_sql("DROP TABLE temp.incoming_rows")
