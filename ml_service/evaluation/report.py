"""The training report: the figures of a model on the test rows, with those of the champion and the baselines.

Law: every figure is computed on test rows only.
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
from ml_service.evaluation.baselines import BaselineData, baselines
from ml_service.evaluation.blanking import blanked
from ml_service.evaluation.bootstrap import figure_intervals
from ml_service.evaluation.curves import curves
from ml_service.evaluation.dependence import dependence
from ml_service.evaluation.figures import figures, importance, period, recent_rows
from ml_service.evaluation.segments import ScoredRows, compare, segments
from ml_service.model.churn_model import ChurnModel
from ml_service.model.thresholds import best_f1_threshold, recall_threshold
from shared.clock import iso, utc_now
from shared.contracts.api import CalibrationCheck, Dependence, Importance, TestFigures, TrainReport

#: Calibration is checked on the rows with a missing value if there are at least this many.
MIN_ROWS_WITH_MISSING = 200
#: Maximum number of training rows that the baselines are fitted on.
BASELINE_ROWS = 200_000


@dataclass(frozen=True)
class Evaluation:
    """A fitted model with its data and the champion it is compared with; all properties describe the test rows.

    Attributes
    ----------
    snapshot : Snapshot
        Training and test rows, with the features that the model uses.
    split : Split
        The training rows and the test rows.
    model : ChurnModel
        Fitted on the training rows.
    champion : ChurnModel or None
        The model to compare with.
    table : pyarrow.Table
        All features of the rows, those that were left out of the model too: the champion may use them.
    """

    snapshot: Snapshot
    split: Split
    model: ChurnModel
    champion: ChurnModel | None
    table: pa.Table

    @cached_property
    def features(self) -> pa.Table:
        """Typed columns of the test rows."""
        return self.snapshot.features.take(pa.array(self.split.test))

    @cached_property
    def keys(self) -> pa.Array:
        """Keys of the test rows, int64, null where a row has none."""
        return self.snapshot.row_keys.take(pa.array(self.split.test))

    @cached_property
    def label(self) -> Labels:
        """Labels of the test rows, shape (n_test,)."""
        return self.snapshot.label[self.split.test]

    @cached_property
    def as_of(self) -> Dates | None:
        """Dates of the test rows, shape (n_test,); None without dates."""
        return None if self.snapshot.as_of is None else self.snapshot.as_of[self.split.test]

    @cached_property
    def probability(self) -> Floats:
        """Probabilities of the new model, shape (n_test,)."""
        return self.model.predict(self.features, self.keys).probability

    @property
    def champion_fits(self) -> bool:
        """Whether there is a champion of a table with the same features."""
        if self.champion is None:
            return False
        both = [{(name, f.kind) for name, f in m.table_schema.features.items()} for m in (self.champion, self.model)]
        return both[0] == both[1]

    @cached_property
    def champion_probability(self) -> Floats | None:
        """Probabilities of the champion, shape (n_test,), out of fold for rows that it was trained on."""
        if self.champion is None or not self.champion_fits:
            return None
        return self.champion.predict(self.table.take(pa.array(self.split.test)), self.keys).probability

    @cached_property
    def groups(self) -> Ints:
        """The customer of each test row, shape (n_test,)."""
        values = to_matrix(self.model.schema, self.model.categories, self.features).values
        return customer_groups(self.keys, values)

    def figures_of(self, model: ChurnModel, probability: Floats) -> TestFigures:
        """Compute all figures of a model from its probabilities of the test rows.

        Parameters
        ----------
        model : ChurnModel
            Gives the thresholds.
        probability : ndarray of float64, shape (n_test,)

        Returns
        -------
        figures : TestFigures
        """
        return figures(
            self.label,
            probability,
            threshold=model.threshold,
            balanced_threshold=model.balanced_threshold,
            as_of=self.as_of,
        )


def build_report(evaluation: Evaluation, progress: Callable[[float, str], None]) -> TrainReport:
    """Evaluate a model on its test rows.

    Parameters
    ----------
    evaluation : Evaluation
    progress : callable
        Called with the share of the training that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    report : TrainReport
        Without warnings; `evaluation.warnings.report_warnings` writes them.
    """
    model = evaluation.model
    progress(0.72, f"evaluating on {len(evaluation.split.test):,} test rows")
    test = evaluation.figures_of(model, evaluation.probability)
    progress(0.76, "fitting baselines")
    fitted_baselines = baselines(_baseline_data(evaluation))
    progress(0.84, "computing feature importances")
    importances, dependences = _feature_effects(evaluation)
    progress(0.90, "computing bootstrap intervals")
    champion_probability = evaluation.champion_probability
    report = TrainReport(
        auc=test.auc,
        precision=test.precision,
        recall=test.recall,
        f1_score=test.f1_score,
        test=test,
        baselines=fitted_baselines,
        champion=None
        if evaluation.champion is None or champion_probability is None
        else evaluation.figures_of(evaluation.champion, champion_probability),
        importance=importances,
        dependence=dependences,
        ceiling=_ceiling(evaluation),
        warnings=[],
        **_provenance(evaluation),
        **_checks(evaluation),
    )
    progress(0.97, "writing the report")
    return report


def _provenance(evaluation: Evaluation) -> dict[str, Any]:
    snapshot, split, model = evaluation.snapshot, evaluation.split, evaluation.model
    return {
        "training_samples": len(split.training),
        "model_version": model.version,
        "timestamp": iso(utc_now()),
        "features": len(snapshot.schema.features),
        "left_out": model.left_out,
        "horizon_days": snapshot.horizon_days,
        "split": split.kind,
        "training_period": period(None if snapshot.as_of is None else snapshot.as_of[split.training]),
        "training_prevalence": model.training["prevalence"],
        "parameters": model.parameters | {"calibration": model.calibration.as_dict()},
        "base_probability": model.base_probability,
        "out_of_fold_rows": _out_of_fold_rows(evaluation),
        "data_sha256": snapshot.checksum(),
        "model_sha256": model.checksum(),
        "seed": model.seed,
        "search": model.search,
    }


def _checks(evaluation: Evaluation) -> dict[str, Any]:
    model = evaluation.model
    scored = ScoredRows(
        evaluation.features,
        evaluation.label,
        evaluation.probability,
        evaluation.champion_probability,
        evaluation.groups,
        model.seed,
    )
    parts = segments(model.schema, scored)
    return {
        "intervals": _intervals(evaluation),
        "calibration": calibration_checks.check(evaluation.label, evaluation.probability, model.threshold, model.seed),
        "calibration_with_missing": _calibration_with_missing(evaluation),
        "blanked": blanked(model, evaluation.features, evaluation.keys, evaluation.as_of),
        "curves": curves(evaluation.label, evaluation.probability),
        "segments": parts,
        "comparison": compare(scored, parts),
    }


def _baseline_data(evaluation: Evaluation) -> BaselineData:
    label, split, model = evaluation.snapshot.label, evaluation.split, evaluation.model
    training = split.training
    if len(training) > BASELINE_ROWS:
        # More rows would not change the fit, and the design matrix would not fit into memory.
        training = np.sort(np.random.default_rng(model.seed).choice(training, BASELINE_ROWS, replace=False))

    def values(features: pa.Table) -> Floats:
        return to_matrix(model.schema, model.categories, features).values

    training_features = evaluation.snapshot.features.take(pa.array(training))
    return BaselineData(
        model.schema,
        model.categories,
        values(training_features),
        label[training],
        values(evaluation.features),
        evaluation.label,
    )


def _feature_effects(evaluation: Evaluation) -> tuple[list[Importance], list[Dependence]]:
    sample = recent_rows(len(evaluation.split.test), evaluation.as_of, evaluation.model.seed)
    rows = evaluation.features.take(pa.array(sample))
    contributions = evaluation.model.contributions(rows)
    importances = importance(evaluation.model.schema, contributions)
    values = to_matrix(evaluation.model.schema, evaluation.model.categories, rows).values
    order = [each.name for each in importances if each.importance > 0]
    return importances, dependence(evaluation.model.schema, evaluation.model.categories, values, contributions, order)


def _intervals(evaluation: Evaluation) -> dict[str, tuple[float, float] | None]:
    model = evaluation.model
    return figure_intervals(
        evaluation.label,
        evaluation.probability,
        evaluation.groups,
        threshold=model.threshold,
        balanced_threshold=model.balanced_threshold,
        seed=model.seed,
    )


def _calibration_with_missing(evaluation: Evaluation) -> CalibrationCheck | None:
    has_missing = np.zeros(len(evaluation.label), dtype=bool)
    for column in evaluation.features.columns:
        has_missing |= np.asarray(pc.is_null(column, nan_is_null=True))
    if has_missing.sum() < MIN_ROWS_WITH_MISSING:
        return None
    return calibration_checks.check(
        evaluation.label[has_missing],
        evaluation.probability[has_missing],
        evaluation.model.threshold,
        evaluation.model.seed,
    )


def _ceiling(evaluation: Evaluation) -> TestFigures | None:
    """The figures of the true probability, with thresholds chosen on the training rows; None for real data."""
    true_probability, split = evaluation.snapshot.true_probability, evaluation.split
    if true_probability is None:
        return None
    training_probability, label = true_probability[split.training], evaluation.snapshot.label[split.training]
    return figures(
        evaluation.label,
        true_probability[split.test],
        threshold=best_f1_threshold(training_probability, label),
        balanced_threshold=recall_threshold(training_probability, label),
        as_of=evaluation.as_of,
    )


def _out_of_fold_rows(evaluation: Evaluation) -> int:
    if evaluation.model.training_folds is None:
        return 0
    return int(np.count_nonzero(evaluation.snapshot.row_keys.take(pa.array(evaluation.split.training)).is_valid()))
