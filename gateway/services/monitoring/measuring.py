"""Counts predictions beside their outcomes, by bins of log-odds, whenever outcomes come in. The worker runs this.

Law: what is stored are counts and sums, so that any group of runs is added up when it is read; a run whose outcomes
change is counted anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from database.customers import customer_base, facts, maturity
from database.engine import interruption
from database.engine.bulk_read import Fetched, fetch_columns
from database.engine.session import Connection
from database.models import models
from database.monitoring import bands, outcome_bins
from database.monitoring.outcome_bins import Run, Stage
from gateway.services.jobs.work import Work
from gateway.services.monitoring import watching
from gateway.services.monitoring.counting import counted
from gateway.services.monitoring.figures import BIN_WIDTH, EPSILON
from shared.clock import iso
from shared.schema.features import Schema

#: Values of a category that are kept apart, those of most customers.
MAX_VALUES = 12
#: Numbers that are counted in bands, those that matter most to the model.
MAX_NUMBERS = 12

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def measure(work: Work) -> int:
    """Count the runs whose outcomes are new or have changed, and those where only the grace is missing.

    Returns
    -------
    measured
        The number of runs.
    """
    with work.database.read() as connection:
        known = maturity.complete_to(connection)
        if known is None or not facts.has_subscriptions(connection):
            return 0
        found = outcome_bins.finished_runs(connection)
        settled = outcome_bins.runs_with_outcomes(connection)
        over = maturity.windows_over(connection, known)
        present = customer_base.get(connection)
    matured = {run.as_of for run in found if run.id in settled}
    counts = {run.id for run in counted(found, matured | set(over))}
    due = 0
    for run in found:
        is_settled, counts_now = run.id in settled, run.id in counts
        if is_settled and run.stage == "matured" and bool(run.is_counted) == counts_now:
            continue
        if not is_settled and not (counts_now and run.as_of in over):
            continue
        schema = present.schema if present and counts_now else None
        _measure(work, run, "matured" if is_settled else "provisional", schema)
        due += 1
    if due:
        watching.watch(work)
    return due


def _measure(work: Work, run: Run, stage: Stage, schema: Schema | None) -> None:
    with work.database.read() as connection:
        scored = fetch_columns(connection, outcome_bins.scores(run.id))
        told = _outcomes(connection, run, stage)
        model = models.get(connection, run.version)
        assert model is not None
        threshold = _threshold(model)
        ids, p = scored.keys, np.asarray(scored.columns[0])
        has, label = _labels(ids, told)
        segments = {} if schema is None else _segments(connection, schema, run, model, ids[has])
    rows = list(_rows(p[has], label, threshold, segments))
    values = {
        "stage": stage,
        "is_counted": int(schema is not None),
        "without_outcome": int((~has).sum()),
        "threshold": threshold,
        "measured_at": iso(work.clock()),
    }
    with work.database.write() as connection:
        outcome_bins.store(connection, run.id, values, rows)


def _threshold(model: models.Model) -> float:
    figures = model.figures
    return float((figures.get("live") or figures["test"])["threshold"])


def _outcomes(connection: Connection, run: Run, stage: Stage) -> Fetched:
    """Return (customer, churned): the stored outcomes, or the labels as they stand without the grace gap."""
    if stage == "matured":
        return fetch_columns(connection, outcome_bins.outcomes_of(run.id))
    # Only those whose subscription ended are looked up one by one: this is done at every import.
    ended = facts.outcomes_at(connection, run.as_of, facts.ended_within_horizon(run.as_of))
    left = [key for key, churned in ended.items() if churned]
    members = fetch_columns(connection, facts.members_at(run.as_of))
    return Fetched(members.keys, [np.isin(members.keys, left).astype(np.float64)])


def _labels(ids: npt.NDArray[np.int64], told: Fetched) -> tuple[Flags, Flags]:
    """Return which of the customers have an outcome, and the newest outcome of those."""
    at = _last_of(told.keys, ids)
    return at >= 0, np.asarray(told.columns[0])[at[at >= 0]] == 1


def _last_of(keys: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the place of each wanted key's last occurrence among ascending keys; -1 where there is none."""
    at = np.searchsorted(keys, wanted, side="right") - 1
    found = np.full(len(wanted), -1, dtype=np.int64)
    if len(keys):
        hit = (at >= 0) & (keys[np.maximum(at, 0)] == wanted)
        found[hit] = at[hit]
    return found


def _segments(
    connection: Connection, schema: Schema, run: Run, model: models.Model, ids: npt.NDArray[np.int64]
) -> dict[str, list[str | None]]:
    """Return each category's values and each number's bands by customer, as they were scored."""
    by_weight = [each["name"] for each in model.figures.get("importance", ())]
    numbers = [name for name in by_weight if name in schema.features and schema.features[name].kind == "number"]
    begins = bands.edges(connection, schema, numbers[:MAX_NUMBERS], run.trained_on)
    names = [*schema.categories, *begins]
    if not names:
        return {}
    known = fetch_columns(connection, outcome_bins.facts_of(schema, names, run))
    at = _last_of(known.keys, ids).tolist()
    found: dict[str, list[str | None]] = {}
    for name, column in zip(names, known.columns, strict=True):
        interruption.check()
        values: Sequence[Any] = column if isinstance(column, list) else column.tolist()
        named = _banded(values, begins[name]) if name in begins else values
        found[name] = [None if place < 0 else named[place] for place in at]
    return found


def _banded(values: Sequence[float | None], begins: Sequence[float]) -> list[str | None]:
    return [None if value is None or np.isnan(value) else bands.name_of(value, begins) for value in values]


def _rows(p: Floats, label: Flags, threshold: float, segments: dict[str, list[str | None]]) -> Iterator[Any]:
    yield from (("", "", *row) for row in to_bins(p, label, threshold))
    for name, values in segments.items():
        interruption.check()
        codes = {value: code for code, value in enumerate(sorted({v for v in values if v is not None}), start=1)}
        coded = np.array([0 if value is None else codes[value] for value in values], dtype=np.int64)
        sizes = np.bincount(coded, minlength=len(codes) + 1)
        kept = set(np.argsort(-sizes, kind="stable")[:MAX_VALUES].tolist())
        for value, code in (("", 0), *codes.items()):
            here = coded == code
            if code in kept and here.any():
                yield from ((name, value, *row) for row in to_bins(p[here], label[here], threshold))


def to_bins(p: Floats, label: Flags, threshold: float) -> list[tuple[int, int, int, int, float]]:
    """Count predictions by log-odds: (bin, listed, customers, leavers, sum of p), by ascending bin.

    Parameters
    ----------
    p
        Shape (n,), probabilities.
    label
        Shape (n,), whether each left.
    threshold
        A prediction is listed if p is at least this.
    """
    clipped = np.clip(p, EPSILON, 1 - EPSILON)
    place = np.floor(np.log(clipped / (1 - clipped)) / BIN_WIDTH).astype(np.int64)
    listed = p >= threshold
    keys, at = np.unique(2 * place + listed, return_inverse=True)
    sums = [np.bincount(at, weights, minlength=len(keys)) for weights in (None, label.astype(np.float64), p)]
    return [
        (int(key) >> 1, int(key) & 1, int(customers), int(leavers), float(total))
        for key, customers, leavers, total in zip(keys.tolist(), *(each.tolist() for each in sums), strict=True)
    ]
