"""How many customers of a run are expected to leave, with the interval of that number.

Law: where a table does not say how often customers leave, nobody is counted, and the reason is given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, select

from database.engine.expressions import json_member
from database.tables import tables
from shared.contracts.report import LevelSpread
from shared.expected_leavers import interval

m = tables.models

CHANCE_ALONE = "The interval holds chance alone: the model knows too few periods for the spread of its level."
SAMPLE = (
    "Nobody is counted: the model's table has no dates, and its schema did not say how often customers leave "
    "(natural_rate: set it with `retainstream schema edit`, then train and score)."
)


@dataclass(frozen=True)
class ExpectedLeavers:
    """A number of expected leavers.

    Attributes
    ----------
    number, interval
        The sum of p and its 95 % interval; None where nobody is counted.
    note
        Uncertainty that the interval leaves out, or why nobody is counted.
    """

    number: float | None
    interval: tuple[float, float] | None
    note: str | None


def expected_leavers(connection: Connection, version: str, number: float, variance: float) -> ExpectedLeavers:
    """Return the expected leavers among customers that a version has scored.

    Parameters
    ----------
    number, variance
        Sums of p and of p (1 - p) over the customers.
    """
    names = ("level", "natural_rate", "training_period")
    members = (json_member(m.c.report_json, name).label(name) for name in names)
    row = connection.execute(select(*members).where(m.c.version == version)).one_or_none()
    level, rate, period = (json.loads(text or "null") for text in row) if row else (None, None, None)
    if rate is None and period is None:
        return ExpectedLeavers(None, None, SAMPLE)
    spread = None if level is None else LevelSpread.model_validate(level)
    known = spread is not None and spread.sigma is not None
    return ExpectedLeavers(number, interval(number, variance, spread), None if known else CHANCE_ALONE)
