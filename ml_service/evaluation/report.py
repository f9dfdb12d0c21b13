"""The training report: the figures of a model on the test rows, with those of the champion and the baselines.

Law: every figure is computed on test rows only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_service.arrays import Floats
from ml_service.data.feature_matrix import to_matrix
from ml_service.evaluation import calibration_checks
from ml_service.evaluation.baselines import BaselineData, baselines
from ml_service.evaluation.blanking import blanked
from ml_service.evaluation.bootstrap import figure_intervals
from ml_service.evaluation.curves import curves
from ml_service.evaluation.dependence import dependence
from ml_service.evaluation.evaluation import Evaluation, same_features
from ml_service.evaluation.figures import figures, importance, period, recent_rows
from ml_service.evaluation.profit import report_profit
from ml_service.evaluation.segments import ScoredRows, compare, segments
from ml_service.model.thresholds import best_f1_threshold, recall_threshold
from shared.clock import iso, utc_now
from shared.contracts.api import CalibrationCheck, Dependence, Importance, LiveFit, TestFigures, TrainReport
from shared.plural import plural

#: Calibration is checked on the rows with a missing value if there are at least this many.
MIN_ROWS_WITH_MISSING = 200
#: Maximum number of training rows that the baselines are fitted on.
BASELINE_ROWS = 200_000


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
    progress(0.72, f"evaluating on {plural(len(evaluation.split.test), 'test row')}")
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
    snapshot, split, model, live = evaluation.snapshot, evaluation.split, evaluation.model, evaluation.live
    return {
        "training_samples": len(split.training),
        "model_version": live.version,
        "timestamp": iso(utc_now()),
        "features": len(snapshot.schema.features),
        "left_out": model.left_out,
        "horizon_days": snapshot.horizon_days,
        "split": split.kind,
        "training_period": period(None if snapshot.as_of is None else snapshot.as_of[split.training]),
        "training_prevalence": model.training["prevalence"],
        "live": LiveFit(
            rows=len(split.rows),
            leavers=live.training["leavers"],
            prevalence=live.training["prevalence"],
            period=period(None if snapshot.as_of is None else snapshot.as_of[split.rows]),
            threshold=live.threshold,
        ),
        "parameters": live.parameters | {"calibration": live.calibration.as_dict()},
        "base_probability": live.base_probability,
        "out_of_fold_rows": _out_of_fold_rows(evaluation),
        "data_sha256": snapshot.checksum(),
        "model_sha256": live.checksum(),
        "seed": live.seed,
        "search": live.search,
    }


def _checks(evaluation: Evaluation) -> dict[str, Any]:
    model = evaluation.model
    scored = ScoredRows(
        evaluation.features,
        evaluation.label,
        evaluation.probability,
        evaluation.champion_probability,
        _decided_probability(evaluation),
        evaluation.groups,
        model.seed,
    )
    decided = evaluation.decided or evaluation.champion
    parts = segments(model.schema, scored)
    return {
        "intervals": _intervals(evaluation),
        "calibration": calibration_checks.check(
            evaluation.label, evaluation.probability, model.threshold, model.seed, evaluation.level
        ),
        "level": evaluation.level,
        "calibration_with_missing": _calibration_with_missing(evaluation),
        "blanked": blanked(model, evaluation.features, evaluation.keys, evaluation.as_of),
        "curves": curves(evaluation.label, evaluation.probability),
        "profit": report_profit(evaluation),
        "segments": parts,
        "comparison": compare(scored, parts, decided.version if decided else ""),
    }


def _decided_probability(evaluation: Evaluation) -> Floats | None:
    if evaluation.decided is None or not same_features(evaluation.decided, evaluation.model):
        return None
    features = evaluation.table.take(pa.array(evaluation.split.test))
    return evaluation.decided.predict(features, evaluation.keys, evaluation.as_of).probability


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
    if evaluation.live.training_folds is None:
        return 0
    return int(np.count_nonzero(evaluation.snapshot.row_keys.take(pa.array(evaluation.split.rows)).is_valid()))
