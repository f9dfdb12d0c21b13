"""Scores as a test states them, by probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from database.engine.bulk_insert import insert_rows
from database.scoring import runs
from database.scoring.run_writer import Scores
from database.tables import tables

COLUMNS = ("run_id", "customer_id", *runs.SCORE_COLUMNS, "monthly_price")


def a_score(probability: float) -> tuple[Any, ...]:
    """The values of a score, in the order of `runs.SCORE_COLUMNS`."""
    return (probability, max(probability, 1 - probability), 0, 0, probability, -1, 0.0, -1, 0.0)


def scores_of(probabilities: Mapping[int, float], prices: Mapping[int, float | None] | None = None) -> Scores:
    """Scores of customers, as a run's writer takes them."""
    ids = sorted(probabilities)
    rows = [a_score(probabilities[each]) for each in ids]
    columns = {name: np.array([row[at] for row in rows]) for at, name in enumerate(runs.SCORE_COLUMNS)}
    paid = [(prices or {}).get(each) for each in ids]
    ages = np.zeros(len(ids), dtype=np.int16)
    return Scores(np.array(ids, dtype=np.int64), np.array(paid, dtype=np.float64), ages, columns)


def append(
    connection: Connection,
    run_id: int,
    ids: Sequence[int],
    scores: Sequence[Sequence[Any]],
    prices: Sequence[float | None] | None = None,
    *,
    ranked: bool = False,
) -> None:
    """Rows of a run that is under way, or was broken off, put into the tables as they stand."""
    paid = prices or [None] * len(ids)
    rows = [(run_id, key, *score, price) for key, score, price in zip(ids, scores, paid, strict=True)]
    insert_rows(connection, tables.ledger, COLUMNS, rows)
    if ranked:
        placed = [(run_id, row[2], row[1]) for row in rows]
        insert_rows(connection, tables.present_ranks, ("run_id", "churn_probability", "customer_id"), placed)
