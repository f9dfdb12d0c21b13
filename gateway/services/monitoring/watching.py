"""Keeps the evidence for a shift of the level up to date, over counted runs that have matured. The worker runs this.

Law: after an alarm the watch begins anew with the first run of a model that knows the outcomes that raised it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from database.monitoring import outcome_bins
from database.monitoring.outcome_bins import Run
from gateway.services.jobs.work import Work
from gateway.services.monitoring.counting import ALARM_AT, knows_outcomes, watched
from gateway.services.monitoring.level_alarm import Month, evidence
from gateway.services.monitoring.promises import promises


def watch(work: Work) -> None:
    """Compute the evidence after each counted run and store it."""
    with work.database.read() as connection:
        runs = watched(outcome_bins.finished_runs(connection))
        levels = {version: said.level for version, said in promises(connection).items() if said.level is not None}
        bins = outcome_bins.total_bins(connection, [run.id for run in runs])
    known: Sequence[Run] = [run for run in runs if run.version in levels]
    found: dict[int, float] = {}
    months = {run.id: Month(bins[run.id], levels[run.version]) for run in known}
    while known:
        known = _watch_from(known, months, found)
    with work.database.write() as connection:
        outcome_bins.store_evidence(connection, found)


def _watch_from(runs: Sequence[Run], months: Mapping[int, Month], found: dict[int, float]) -> Sequence[Run]:
    """Add the evidence of the runs until the watch begins anew; return the runs from there on."""
    raised: Run | None = None
    for run, value in zip(runs, evidence([months[run.id] for run in runs]), strict=True):
        if raised is not None and knows_outcomes(run.trained_on, raised):
            return runs[runs.index(run) :]
        found[run.id] = value
        raised = run if raised is None and value >= ALARM_AT else raised
    return []
