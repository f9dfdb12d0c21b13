"""Finished runs that count: one per 27 days or more, made before their outcomes could have been learned from.

Law: a customer's end counts in one run, so that the rows of several runs are independent given the scores.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import log

from database.monitoring.outcome_bins import Run
from shared.clock import days_later
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS

#: Days between counted runs: windows that share no more than the three days that a calendar month may be short.
APART = HORIZON_DAYS - 3
#: The evidence for a shift of the level from which an alarm is raised, at most one false alarm in 20; and its log.
LIMIT = 20.0
ALARM_AT = log(LIMIT)


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


def watched(runs: Sequence[Run]) -> list[Run]:
    """Return the measured runs whose level is watched: counted and matured."""
    return [run for run in runs if run.is_counted and run.stage == "matured"]


def raised_by(runs: Sequence[Run]) -> Run | None:
    """Return the run whose outcomes raised the alarm that stands at the last of the watched runs; None without one."""
    raised: Run | None = None
    for run in watched(runs):
        if raised is not None and knows_outcomes(run.trained_on, raised):
            raised = None
        if raised is None and run.log_evidence is not None and run.log_evidence >= ALARM_AT:
            raised = run
    return raised


def knows_outcomes(trained_on: str, run: Run) -> bool:
    """Return whether a model of data up to a date has learned from the outcomes of a run."""
    return trained_on >= days_later(run.as_of, HORIZON_DAYS + GRACE_DAYS)
