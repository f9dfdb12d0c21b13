"""The report: everything a trained model did on the test rows, beside what it has to beat.

Law: test rows only; every figure of the model stands beside its interval, the champion's and the baselines'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_service.arrays import Dates, Floats, Ints, Labels
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix
from ml_service.data.splitting import Split, customer_groups
from ml_service.evaluation import calibration_checks
from ml_service.evaluation.baselines import Sides, baselines
from ml_service.evaluation.blanking import blanked
from ml_service.evaluation.bootstrap import figure_intervals
from ml_service.evaluation.curves import curves
from ml_service.evaluation.dependence import dependence
from ml_service.evaluation.figures import figures, importance, period, recent_rows
from ml_service.evaluation.segments import Judged, compare, segments
from ml_service.model.churn_model import ChurnModel
from ml_service.model.thresholds import best_f1_threshold, recall_threshold
from shared.clock import iso, utc_now
from shared.contracts.api import CalibrationCheck, Dependence, Importance, TestFigures, TrainReport

#: Fewer rows with a gap say nothing of their calibration.
GAPS = 200
#: Training rows that the baselines are fitted on, at most.
BASELINE_ROWS = 200_000


@dataclass(frozen=True)
class Judging:
    """A fitted model, the snapshot it was fitted on, and the champion it is held against."""

    snapshot: Snapshot
    split: Split
    model: ChurnModel
    champion: ChurnModel | None

    @cached_property
    def features(self) -> pa.Table:
        """Of the test rows."""
        return self.snapshot.features.take(pa.array(self.split.test))

    @cached_property
    def keys(self) -> pa.Array:
        """Of the test rows."""
        return self.snapshot.row_keys.take(pa.array(self.split.test))

    @cached_property
    def label(self) -> Labels:
        """Of the test rows."""
        return self.snapshot.label[self.split.test]

    @cached_property
    def as_of(self) -> Dates | None:
        """Of the test rows."""
        return None if self.snapshot.as_of is None else self.snapshot.as_of[self.split.test]

    @cached_property
    def probability(self) -> Floats:
        """The new model's."""
        return self.model.predict(self.features, self.keys).probability

    @property
    def champion_fits(self) -> bool:
        """Whether the champion reads the same features."""
        if self.champion is None:
            return False
        both = [{(name, f.kind) for name, f in m.schema.features.items()} for m in (self.champion, self.model)]
        return both[0] == both[1]

    @cached_property
    def champion_probability(self) -> Floats | None:
        """The champion's, of rows it was trained on out of fold where it knows them."""
        if self.champion is None or not self.champion_fits:
            return None
        return self.champion.predict(self.features, self.keys).probability

    @cached_property
    def groups(self) -> Ints:
        """The test rows' customers."""
        values = to_matrix(self.model.schema, self.model.categories, self.features).values
        return customer_groups(self.keys, values)

    def figures_of(self, model: ChurnModel, probability: Floats) -> TestFigures:
        """All figures of one model's probabilities."""
        return figures(
            self.label,
            probability,
            threshold=model.threshold,
            balanced_threshold=model.balanced_threshold,
            as_of=self.as_of,
        )


def judge(at: Judging, progress: Callable[[float, str], None]) -> TrainReport:
    """The report without its warnings."""
    model = at.model
    progress(0.72, f"judging on {len(at.split.test):,} test rows")
    test = at.figures_of(model, at.probability)
    progress(0.76, "fitting baselines")
    beside = baselines(_sides(at))
    progress(0.84, "weighing the features")
    weights, shapes = _explained(at)
    progress(0.90, "drawing intervals")
    old = at.champion_probability
    report = TrainReport(
        auc=test.auc,
        precision=test.precision,
        recall=test.recall,
        f1_score=test.f1_score,
        test=test,
        baselines=beside,
        champion=None if at.champion is None or old is None else at.figures_of(at.champion, old),
        importance=weights,
        dependence=shapes,
        ceiling=_ceiling(at),
        warnings=[],
        **_making(at),
        **_checks(at),
    )
    progress(0.97, "writing the report")
    return report


def _making(at: Judging) -> dict[str, Any]:
    snapshot, split, model = at.snapshot, at.split, at.model
    return {
        "training_samples": len(split.training),
        "model_version": model.version,
        "timestamp": iso(utc_now()),
        "features": len(snapshot.schema.features),
        "split": split.kind,
        "training_period": period(None if snapshot.as_of is None else snapshot.as_of[split.training]),
        "training_prevalence": model.training["prevalence"],
        "parameters": model.parameters | {"calibration": model.calibration.as_dict()},
        "base_probability": model.base_probability,
        "out_of_fold_rows": _out_of_fold_rows(at),
        "data_sha256": snapshot.checksum(),
        "model_sha256": model.checksum(),
        "seed": model.seed,
        "search": model.search,
    }


def _checks(at: Judging) -> dict[str, Any]:
    model = at.model
    judged = Judged(at.features, at.label, at.probability, at.champion_probability, at.groups, model.seed)
    parts = segments(model.schema, judged)
    return {
        "intervals": _intervals(at),
        "calibration": calibration_checks.check(at.label, at.probability, model.threshold, model.seed),
        "calibration_with_missing": _on_gaps(at),
        "blanked": blanked(model, at.features, at.keys, at.as_of),
        "curves": curves(at.label, at.probability),
        "segments": parts,
        "comparison": compare(judged, parts),
    }


def _sides(at: Judging) -> Sides:
    label, split, model = at.snapshot.label, at.split, at.model
    training = split.training
    if len(training) > BASELINE_ROWS:
        # A line through hundreds of thousands of rows is the same line; its design matrix would not fit.
        training = np.sort(np.random.default_rng(model.seed).choice(training, BASELINE_ROWS, replace=False))

    def values(features: pa.Table) -> Floats:
        return to_matrix(model.schema, model.categories, features).values

    past = at.snapshot.features.take(pa.array(training))
    return Sides(model.schema, model.categories, values(past), label[training], values(at.features), at.label)


def _explained(at: Judging) -> tuple[list[Importance], list[Dependence]]:
    recent = recent_rows(len(at.split.test), at.as_of, at.model.seed)
    rows = at.features.take(pa.array(recent))
    contributions = at.model.contributions(rows)
    weights = importance(at.model.schema, contributions)
    values = to_matrix(at.model.schema, at.model.categories, rows).values
    order = [each.name for each in weights if each.importance > 0]
    return weights, dependence(at.model.schema, at.model.categories, values, contributions, order)


def _intervals(at: Judging) -> dict[str, tuple[float, float] | None]:
    model = at.model
    return figure_intervals(
        at.label,
        at.probability,
        at.groups,
        threshold=model.threshold,
        balanced_threshold=model.balanced_threshold,
        seed=model.seed,
    )


def _on_gaps(at: Judging) -> CalibrationCheck | None:
    gaps = np.zeros(len(at.label), dtype=bool)
    for column in at.features.columns:
        gaps |= np.asarray(pc.is_null(column, nan_is_null=True))
    if gaps.sum() < GAPS:
        return None
    return calibration_checks.check(at.label[gaps], at.probability[gaps], at.model.threshold, at.model.seed)


def _ceiling(at: Judging) -> TestFigures | None:
    """The true probability, judged as a model would be: its thresholds are chosen on the training rows."""
    truth, split = at.snapshot.true_probability, at.split
    if truth is None:
        return None
    past, label = truth[split.training], at.snapshot.label[split.training]
    return figures(
        at.label,
        truth[split.test],
        threshold=best_f1_threshold(past, label),
        balanced_threshold=recall_threshold(past, label),
        as_of=at.as_of,
    )


def _out_of_fold_rows(at: Judging) -> int:
    if at.model.seen is None:
        return 0
    return int(np.count_nonzero(at.snapshot.row_keys.take(pa.array(at.split.training)).is_valid()))
