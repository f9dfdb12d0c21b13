"""Which finished runs count: one per 27 days or more, made before their outcomes could have been learned from.

Law: a customer's end counts in one run, so that the rows of several runs are independent given the scores.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from database.monitoring.outcome_bins import Run
from shared.clock import days_later
from shared.contracts.api import HORIZON_DAYS

#: Days between counted runs: windows that share no more than the three days that a calendar month may be short.
APART = HORIZON_DAYS - 3


def counted(runs: Sequence[Run], dates: Collection[str]) -> list[Run]:
    """Return the counted runs of some dates, oldest first: of each date the last run of all customers.

    Parameters
    ----------
    runs
        Finished runs, oldest date first.
    dates
        Dates whose outcomes are known, or nearly.
    """
    of_date = {run.as_of: run for run in runs if run.as_of in dates and run.kind != "sample" and is_prospective(run)}
    found: list[Run] = []
    for day, run in of_date.items():
        if not found or day >= days_later(found[-1].as_of, APART):
            found.append(run)
    return found


def is_prospective(run: Run) -> bool:
    """Return whether a run's model can't have learned from an end within the run's 30 days.

    A row is learned from when its outcome has been known for the grace gap: so no end of the newest 30 days is.
    """
    return run.trained_on <= days_later(run.as_of, HORIZON_DAYS)
