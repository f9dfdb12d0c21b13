"""Snapshot to model: split, fit, calibrate, judge.

Law: nothing about a test row reaches the model; the report is made of test rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml_service.baselines import Sides, baselines
from ml_service.cautions import cautions
from ml_service.evaluation import importance, model_figures, period, recent_rows
from ml_service.matrix import to_matrix
from ml_service.model import ChurnModel, Progress
from ml_service.snapshot import Snapshot
from ml_service.splitting import Split, customer_groups, split_rows
from shared.clock import iso, utc_now
from shared.contracts import TestFigures, TrainReport


@dataclass(frozen=True)
class Trained:
    """A model and what it did on rows it had not seen. The model carries the report."""

    model: ChurnModel
    report: TrainReport
    split: Split


def silent(_done: float, _stage: str) -> None:
    """A progress that nobody reads."""


def split_snapshot(snapshot: Snapshot, seed: int) -> Split:
    """Part the rows by date, or at random where there is one date or none.

    Raises
    ------
    InsufficientData
    """
    groups = customer_groups(snapshot.row_keys, snapshot.matrix()[0].values)
    return split_rows(snapshot.label, snapshot.as_of, groups, seed)


def train(
    snapshot: Snapshot,
    *,
    version: str,
    seed: int = 0,
    threads: int = 1,
    champion: ChurnModel | None = None,
    notes: Sequence[str] = (),
    progress: Progress = silent,
) -> Trained:
    """Fit a model on the older rows and judge it on the newest.

    Parameters
    ----------
    champion
        Judged beside the new model, on the same test rows.
    notes
        Sentences that go to the report's warnings as they are.
    progress
        Called with the share done, in [0, 1], and the stage.

    Raises
    ------
    InsufficientData
        Where either side has too few leavers or stayers.
    """
    progress(0.02, "splitting")
    split = split_snapshot(snapshot, seed)
    rows = split.training
    model = ChurnModel(snapshot.schema, version=version, seed=seed, threads=threads)
    model.fit(
        snapshot.features.take(rows),
        snapshot.label[rows],
        row_keys=snapshot.row_keys.take(pa.array(rows)),
        keep_folds=split.kind == "stratified",
        progress=lambda done, stage: progress(0.05 + 0.65 * done, stage),
    )
    report = _judge(snapshot, split, model, champion, progress)
    report.warnings.extend(notes)
    model.report = report.model_dump(mode="json")
    return Trained(model, report, split)


def _judge(
    snapshot: Snapshot, split: Split, model: ChurnModel, champion: ChurnModel | None, progress: Progress
) -> TrainReport:
    progress(0.72, f"judging on {len(split.test):,} test rows")
    test = _test_figures(snapshot, split, model)
    progress(0.76, "fitting baselines")
    beside = baselines(_sides(snapshot, split, model))
    progress(0.86, "weighing the features")
    dates = None if snapshot.as_of is None else snapshot.as_of[split.test]
    recent = split.test[recent_rows(len(split.test), dates, model.seed)]
    weights = importance(snapshot.schema, model.contributions(snapshot.features.take(recent)))
    progress(0.96, "judging the champion" if champion else "writing the report")
    fits = champion is not None and _same_inputs(champion, model)
    judged = _test_figures(snapshot, split, champion) if champion is not None and fits else None
    return TrainReport(
        auc=test.auc,
        precision=test.precision,
        recall=test.recall,
        f1_score=test.f1_score,
        training_samples=len(split.training),
        model_version=model.version,
        timestamp=iso(utc_now()),
        features=len(snapshot.schema.features),
        split=split.kind,
        training_period=period(None if snapshot.as_of is None else snapshot.as_of[split.training]),
        training_prevalence=model.training["prevalence"],
        test=test,
        baselines=beside,
        champion=judged,
        importance=weights,
        parameters=model.parameters | {"calibration": model.calibration.as_dict()},
        base_probability=model.base_probability,
        out_of_fold_rows=_out_of_fold_rows(snapshot, split, model),
        data_sha256=snapshot.checksum(),
        warnings=cautions(snapshot, split, model, test, beside, champion, champion_fits=fits),
    )


def _test_figures(snapshot: Snapshot, split: Split, model: ChurnModel) -> TestFigures:
    return model_figures(
        model,
        snapshot.features.take(split.test),
        snapshot.label[split.test],
        row_keys=snapshot.row_keys.take(pa.array(split.test)),
        as_of=None if snapshot.as_of is None else snapshot.as_of[split.test],
    )


def _sides(snapshot: Snapshot, split: Split, model: ChurnModel) -> Sides:
    values = to_matrix(snapshot.schema, model.categories, snapshot.features).values
    label = snapshot.label
    return Sides(
        snapshot.schema,
        model.categories,
        values[split.training],
        label[split.training],
        values[split.test],
        label[split.test],
    )


def _same_inputs(one: ChurnModel, other: ChurnModel) -> bool:
    kinds = [[(name, f.kind) for name, f in model.schema.features.items()] for model in (one, other)]
    return sorted(kinds[0]) == sorted(kinds[1])


def _out_of_fold_rows(snapshot: Snapshot, split: Split, model: ChurnModel) -> int:
    if model.seen is None:
        return 0
    return int(np.count_nonzero(snapshot.row_keys.take(pa.array(split.training)).is_valid()))
