"""Live performance: what the ledger's predictions were worth, by run, month, model version or segment.

Law: a prediction whose outcome is not known is counted as pending, never as retained; a figure without the grace gap is
called provisional; each figure stands beside its n, its interval and what training promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from database.customers import customer_base
from database.engine.session import Connection
from database.monitoring import bands, outcome_bins
from database.monitoring.outcome_bins import Bin, Run, Stage
from gateway.services.monitoring.figures import figures
from gateway.services.monitoring.promises import Interval, Promise, Said, promises
from shared.errors import invalid
from shared.expected_leavers import interval_of_periods

By = Literal["run", "month", "version", "segment"]
NO_LEVEL = "The interval holds chance alone: the model knows too few periods for the spread of its level."
LATER = "The model knew too few periods for the spread of its level: the interval holds that which {version} found."
MIXED = "Several versions: each has an interval of its own, by version."


class Estimate(BaseModel):
    """A figure and its 95 % interval over these customers, given their scores."""

    value: float | None
    interval: Interval | None


class Group(BaseModel):
    """Predictions whose outcomes are known, with their figures."""

    model_config = ConfigDict(protected_namespaces=())

    runs: list[int]
    as_of: tuple[str, str] = Field(description="First and last date of the runs")
    versions: list[str]
    feature: str | None = Field(description="The segment's category or number; null for other groups")
    value: str | None = Field(description="The category's value or the number's band; null where unknown")
    stage: Stage = Field(description="provisional: the 30 days are over, the grace gap is not; some may come back")
    counted: bool = Field(description="Whether months, versions and segments hold its rows too")
    n: int
    leavers: int
    expected: float = Field(description="Sum of p")
    expected_interval: Interval | None = Field(description="95 %, as said on the day: chance and the level's spread")
    expected_note: str | None
    as_expected: bool | None = Field(description="Whether the leavers are within `expected_interval`")
    without_outcome: int | None = Field(description="Predictions left out, whose outcome is unknown")
    threshold: float | None = Field(description="Decision threshold; null for several versions")
    listed: int = Field(description="Predictions at or above the threshold")
    prevalence: Estimate
    observed_expected: Estimate
    auc: Estimate
    log_loss: Estimate
    brier: Estimate
    slope: Estimate
    ece: float | None
    ece_by_chance: float | None = Field(description="The mean ECE on as many rows if every p were true")
    lift_at_10_percent: Estimate
    precision: Estimate
    recall: Estimate
    promised: Promise | None = Field(description="Null for several versions")


class Pending(BaseModel):
    """Predictions whose outcome is not known yet; they are in no figure."""

    runs: int
    predictions: int
    expected: float = Field(description="Sum of their p")
    oldest: str | None = Field(description="Date of the oldest such run")


class LivePerformance(BaseModel):
    """Predictions of the ledger beside what happened, newest first."""

    view: Literal["live"]
    by: By
    groups: list[Group]
    pending: Pending
    note: str | None = Field(description="Why there are no groups")


NO_BANDS = (
    "No run was counted by this feature: numbers are counted in bands, those that matter most to the model, when the "
    "outcomes of a run come in."
)
NOTHING = (
    "No prediction has matured yet: outcomes are known once the ends of the 30 days after a run, and of the 30 days of "
    "the grace gap, are known."
)


def read(connection: Connection, by: By, limit: int, feature: str | None = None) -> LivePerformance:
    """Return the newest groups, at most `limit` of them.

    Parameters
    ----------
    feature
        The category, or the number in bands, by which segments are made; every category if absent.

    Raises
    ------
    InvalidInput
        There is no such feature, or the groups are not segments.
    """
    features = _features(connection, by, feature)
    runs = outcome_bins.finished_runs(connection)
    groups = list(groups_of(connection, runs, by, limit, features))
    note = None if groups else NO_BANDS if feature is not None and any(run.is_counted for run in runs) else NOTHING
    return LivePerformance(view="live", by=by, groups=groups, pending=pending(runs), note=note)


def _features(connection: Connection, by: By, feature: str | None) -> Sequence[str]:
    present = customer_base.get(connection)
    if feature is None:
        return present.schema.categories if present else ()
    if by != "segment":
        raise invalid("feature", "expected by=segment beside it")
    known = present.schema.feature_names if present else []
    chosen = present.schema.by_snake.get(feature, feature) if present else feature
    if chosen not in known:
        raise invalid("feature", f"expected one of {', '.join(known)}")
    return (chosen,)


def groups_of(
    connection: Connection, runs: Sequence[Run], by: By, limit: int, features: Sequence[str] = ()
) -> Iterator[Group]:
    """Yield the groups of measured runs, newest first; segments by these features."""
    said = promises(connection)
    measured = [run for run in reversed(runs) if run.stage]
    if by == "segment":
        yield from _segments(connection, measured, said, limit, features)
        return
    parts = [[run] for run in measured] if by == "run" else _parts([r for r in measured if r.is_counted], by)
    for part in parts[:limit]:
        bins = outcome_bins.total_bins(connection, [run.id for run in part])
        yield _group(part, bins, said)


def pending(runs: Sequence[Run]) -> Pending:
    """Count the predictions of runs that have not matured."""
    waiting = [run for run in runs if run.stage != "matured"]
    return Pending(
        runs=len(waiting),
        predictions=sum(run.customers for run in waiting),
        expected=sum(run.expected for run in waiting),
        oldest=waiting[0].as_of if waiting else None,
    )


def _parts(runs: Sequence[Run], by: By) -> list[list[Run]]:
    def key(run: Run) -> tuple[str, str]:
        return (run.as_of[:7] if by == "month" else run.version), str(run.stage)

    return [list(part) for _, part in groupby(sorted(runs, key=lambda r: (r.as_of, r.id), reverse=True), key=key)]


def _segments(
    connection: Connection, runs: Sequence[Run], said: Mapping[str, Said], limit: int, features: Sequence[str]
) -> Iterator[Group]:
    """Yield the segments of the newest version that has matured."""
    matured = [run for run in runs if run.is_counted and run.stage == "matured"]
    of_version = [run for run in matured if run.version == matured[0].version]
    rows = outcome_bins.segment_bins(connection, [run.id for run in of_version], features)
    present = customer_base.get(connection)
    numbers = {name for name in features if present and present.schema.features[name].kind == "number"}
    ordered = sorted(rows, key=lambda row: (row[0], bands.lower_end(row[1]) if row[0] in numbers else 0.0, row[1]))
    for number, ((feature, value), part) in enumerate(groupby(ordered, key=lambda row: (row[0], row[1]))):
        if number < limit:
            name = bands.words(value) if feature in numbers and value else value
            # Months add up: their levels are taken as one, so the interval is a little wide.
            yield _group(of_version, {0: [Bin(*row[2:]) for row in part]}, said, (feature, name))


def _group(
    runs: Sequence[Run],
    bins: Mapping[int, Sequence[Bin]],
    said: Mapping[str, Said],
    segment: tuple[str, str] | None = None,
) -> Group:
    found = figures([each for part in bins.values() for each in part])
    versions = sorted({run.version for run in runs})
    of_one = said[versions[0]] if len(versions) == 1 else None
    level = of_one.level if of_one else None
    note = MIXED if of_one is None else _note(of_one, versions[0])
    variances = [figures(part).variance for part in bins.values()] if len(bins) > 1 else [found.variance]
    interval = interval_of_periods(found.expected, variances, level) if of_one else None
    return Group(
        runs=[run.id for run in runs],
        as_of=(runs[-1].as_of, runs[0].as_of),
        versions=versions,
        feature=segment[0] if segment else None,
        value=(segment[1] or None) if segment else None,
        stage=runs[0].stage or "provisional",
        counted=all(run.is_counted for run in runs),
        expected_interval=interval,
        expected_note=note,
        as_expected=None if interval is None else interval[0] <= found.leavers <= interval[1],
        without_outcome=None if segment else sum(run.without_outcome or 0 for run in runs),
        threshold=runs[0].threshold if of_one else None,
        promised=of_one.promise if of_one else None,
        **{name: value for name, value in asdict(found).items() if name in Group.model_fields},
    )


def _note(said: Said, version: str) -> str | None:
    if said.level_of is None:
        return NO_LEVEL
    return None if said.level_of == version else LATER.format(version=said.level_of)
