"""The warnings of a training report, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ml_service.arrays import Ints
from ml_service.data.column_checks import looks_like_an_id
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix
from ml_service.data.grouping import customer_groups
from ml_service.data.splitting import Split
from ml_service.data.thinning import MIN_DAYS_APART, count_leavers
from ml_service.evaluation import blanking, calibration_checks
from ml_service.evaluation.evaluation import Evaluation
from ml_service.model.churn_model import MAX_CATEGORIES, ChurnModel
from shared.contracts.api import Baseline, TestFigures, TrainReport
from shared.plural import plural

FEW_LEAVERS = 200
SUSPICIOUS_AUC = 0.99


def report_warnings(evaluation: Evaluation, report: TrainReport) -> list[str]:
    """Write the warnings that apply to a report.

    Parameters
    ----------
    evaluation : Evaluation
    report : TrainReport
        As `build_report` returned it.

    Returns
    -------
    warnings : list of str
        The most general ones first.
    """
    snapshot, split, model = evaluation.snapshot, evaluation.split, evaluation.model
    calibration = (
        []
        if report.calibration is None
        else calibration_checks.calibration_warnings(report.calibration, report.test.prevalence)
    )
    return [
        *_data_warnings(snapshot, split, model),
        *_column_warnings(snapshot, split, model),
        *_figure_warnings(report.test, report.baselines),
        *calibration,
        *blanking.blanking_warnings(report.blanked),
        *_champion_warnings(evaluation.champion, evaluation.champion_fits),
    ]


def _data_warnings(snapshot: Snapshot, split: Split, model: ChurnModel) -> Iterator[str]:
    if split.kind == "stratified":
        reason = "has no dates" if snapshot.as_of is None else "has only one date"
        yield (
            f"The table {reason}, so the test rows are a random quarter and not a later period. Nothing shows whether "
            "a value was measured before or after the customer left."
        )
        yield (
            "Rows that were used in training get out-of-fold scores."
            if model.training_folds is not None
            else "The table has no ids, so rows that were used in training can't be recognised, and their scores are "
            "not out of fold."
        )
    elif snapshot.row_keys.null_count:
        yield (
            "The table has no ids, so each row counts as a customer of its own: the 95 % intervals draw rows, and are "
            "too narrow if a customer has several rows."
        )
    left_out = len(snapshot.label) - len(split.rows)
    if left_out:
        yield (
            f"{left_out:,} of {len(snapshot.label):,} rows were left out: rows of one customer lie at least "
            f"{MIN_DAYS_APART} days apart, so that no departure is counted twice."
        )
    if not split.labels_known:
        yield (
            "The history is too short for a gap before the test: some outcomes of training rows became known only "
            "after the test had begun."
        )
    for rows, effect in (
        (split.training, "another sample may give a very different model"),
        (split.test, "the figures are imprecise"),
    ):
        leavers = _leavers(snapshot, rows)
        if leavers < FEW_LEAVERS:
            name = "training" if rows is split.training else "test"
            yield f"The {name} rows hold only {plural(leavers, 'leaver')}: {effect}."


def _leavers(snapshot: Snapshot, rows: Ints) -> int:
    part = snapshot.take(rows)
    return count_leavers(part.label, customer_groups(part.row_keys, part.matrix()[0].values), part.as_of)


def _column_warnings(snapshot: Snapshot, split: Split, model: ChurnModel) -> Iterator[str]:
    training = to_matrix(snapshot.schema, model.categories, snapshot.features.take(split.training)).values
    for position, name in enumerate(snapshot.schema.feature_names):
        column = training[:, position]
        known = column[~np.isnan(column)]
        if not len(known):
            yield f"{name} has no value in any training row, so the model can't use it."
        elif looks_like_an_id(column):
            yield f"{name} has a different whole number in every training row: is it an id rather than a feature?"
        elif known.min() == known.max() and len(known) == len(column):
            yield f"{name} has the same value in every training row, so the model can't use it."
    for name, levels in model.categories.items():
        if len(levels) >= MAX_CATEGORIES:
            yield (
                f"{name} has more than {MAX_CATEGORIES} different values: the most frequent are used, the others count "
                "as missing. Is it a name or a number rather than a category?"
            )
    unknown = to_matrix(snapshot.schema, model.categories, snapshot.features.take(split.test)).unknown
    for name, cells in unknown.items():
        yield (
            f"In {plural(len(cells.values), 'test row')}, {name} has a value that does not occur in training; it was "
            "treated as missing."
        )


def _figure_warnings(test: TestFigures, baselines: Mapping[str, Baseline]) -> Iterator[str]:
    rule, logistic = baselines["best_single_rule"].auc, baselines["logistic_regression"].auc
    if rule is not None and rule > SUSPICIOUS_AUC:
        yield f"A single rule reaches an AUC of {rule:.3f}: its feature probably gives the outcome away."
    elif test.auc is not None and test.auc > SUSPICIOUS_AUC:
        yield f"An AUC of {test.auc:.3f} is rare in practice: check that no feature gives the outcome away."
    if test.auc is not None and logistic is not None and test.auc < logistic:
        yield f"Logistic regression ranks the test rows better (AUC {logistic:.3f} against {test.auc:.3f})."
    if test.brier_skill is not None and test.brier_skill <= 0:
        yield "On the test rows, the probabilities are no better than predicting the churn rate for every customer."
    if test.auc is None:
        yield "The test rows hold only one class, so the figures that need both are null."


def _champion_warnings(champion: ChurnModel | None, fits: bool) -> Iterator[str]:
    if champion is not None and not fits:
        yield f"Model {champion.version} has different features, so it can't be compared on these test rows."
