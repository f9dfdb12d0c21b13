"""What a reader of a training report should know before believing it, as sentences.

Law: a caution follows from a figure, and names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ml_service.data.column_checks import looks_like_an_id
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix
from ml_service.data.splitting import Split
from ml_service.evaluation import blanking, calibration_checks
from ml_service.evaluation.report import Judging
from ml_service.model.churn_model import MOST_LEVELS, ChurnModel
from shared.contracts.api import Baseline, TestFigures, TrainReport

FEW_LEAVERS = 200
TOO_GOOD = 0.99


def cautions(at: Judging, report: TrainReport) -> list[str]:
    """All cautions that apply, most general first."""
    snapshot, split, model = at.snapshot, at.split, at.model
    checked = (
        [] if report.calibration is None else calibration_checks.warnings_of(report.calibration, report.test.prevalence)
    )
    return [
        *_of_the_data(snapshot, split, model),
        *_of_the_columns(snapshot, split, model),
        *_of_the_figures(report.test, report.baselines),
        *checked,
        *blanking.cautions(report.blanked),
        *_of_the_champion(at.champion, at.champion_fits),
    ]


def _of_the_data(snapshot: Snapshot, split: Split, model: ChurnModel) -> Iterator[str]:
    if split.kind == "stratified":
        reason = "carries no dates" if snapshot.as_of is None else "carries one single date"
        yield (
            f"The table {reason}: the test rows are a random quarter, not a later period, and what was measured after "
            "a customer left can't be told from what was known before."
        )
        yield (
            "Rows used in training are listed with their out-of-fold scores."
            if model.seen is not None
            else "The table has no ids: rows used in training can't be told from new ones, so their scores "
            "are not out of fold."
        )
    leavers = int(snapshot.label[split.training].sum())
    if leavers < FEW_LEAVERS:
        yield f"Only {leavers} leavers to learn from: the figures will vary much from one table to the next."
    elsewhere = int(snapshot.label[split.test].sum())
    if elsewhere < FEW_LEAVERS:
        yield f"Only {elsewhere} leavers in the test rows: the figures are rough."


def _of_the_columns(snapshot: Snapshot, split: Split, model: ChurnModel) -> Iterator[str]:
    training = to_matrix(snapshot.schema, model.categories, snapshot.features.take(split.training)).values
    for position, name in enumerate(snapshot.schema.feature_names):
        column = training[:, position]
        known = column[~np.isnan(column)]
        if not len(known):
            yield f"{name} has no value on any training row and was of no use."
        elif looks_like_an_id(column):
            yield f"{name} is a whole number of its own on every training row: is it an id rather than a feature?"
        elif known.min() == known.max() and len(known) == len(column):
            yield f"{name} has the same value on every training row and was of no use."
    for name, levels in model.categories.items():
        if len(levels) >= MOST_LEVELS:
            yield (
                f"{name} has more than {MOST_LEVELS} different values: the commonest are used, the others count "
                "as missing. Is it a name or a number rather than a category?"
            )
    unknown = to_matrix(snapshot.schema, model.categories, snapshot.features.take(split.test)).unknown
    for name, count in unknown.items():
        yield f"{name} has values in {count} test rows that the model does not know; they were scored as missing."


def _of_the_figures(test: TestFigures, beside: Mapping[str, Baseline]) -> Iterator[str]:
    rule, logistic = beside["best_single_rule"].auc, beside["logistic_regression"].auc
    if rule is not None and rule > TOO_GOOD:
        yield f"One question alone reaches an AUC of {rule:.3f}: that feature probably tells the outcome."
    elif test.auc is not None and test.auc > TOO_GOOD:
        yield f"An AUC of {test.auc:.3f} is rare in practice: check that no feature tells the outcome."
    if test.auc is not None and logistic is not None and test.auc < logistic:
        yield f"Logistic regression ranks better on the test rows (AUC {logistic:.3f} against {test.auc:.3f})."
    if test.brier_skill is not None and test.brier_skill <= 0:
        yield "On the test rows the probabilities are no better than the constant rate."
    if test.auc is None:
        yield "The test rows hold one class only: figures that need both are null."


def _of_the_champion(champion: ChurnModel | None, fits: bool) -> Iterator[str]:
    if champion is not None and not fits:
        yield f"Model {champion.version} has other features, so it could not be judged on these test rows."
