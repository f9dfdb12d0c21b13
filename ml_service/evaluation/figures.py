"""The figures of a model on its test rows, and the importance of its features."""

from __future__ import annotations

import numpy as np

from ml_service import metrics
from ml_service.arrays import Dates, Floats, Ints, Labels
from shared.contracts.api import BalancedFigures, Importance, TestFigures
from shared.schema.features import Schema

#: SHAP values are slow to compute; this many rows give the importances to a tenth of a percentage point.
IMPORTANCE_ROWS = 20_000


def period(as_of: Dates | None) -> tuple[str, str] | None:
    """Return the first and the last date as ISO text.

    Parameters
    ----------
    as_of : ndarray of datetime64[D], shape (n_rows,), or None

    Returns
    -------
    period : tuple of (str, str) or None
        None without dates.
    """
    return None if as_of is None or not len(as_of) else (str(as_of.min()), str(as_of.max()))


def figures(
    label: Labels, probability: Floats, *, threshold: float, balanced_threshold: float, as_of: Dates | None = None
) -> TestFigures:
    """Compute all figures of docs/definitions.md#model-figures, at the natural prevalence and balanced.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of leaving.
    threshold, balanced_threshold : float
        Thresholds that were chosen on training rows.
    as_of : ndarray of datetime64[D], shape (n_rows,), optional
        Date of each row.

    Returns
    -------
    figures : TestFigures
    """
    natural = metrics.at_threshold(label, probability, threshold)
    balanced = metrics.at_threshold_balanced(label, probability, balanced_threshold)
    return TestFigures(
        n=len(label),
        positives=int(label.sum()),
        prevalence=float(label.mean()),
        period=period(as_of),
        auc=metrics.auc(label, probability),
        average_precision=metrics.average_precision(label, probability),
        log_loss=metrics.log_loss(label, probability),
        brier=metrics.brier(label, probability),
        brier_skill=metrics.brier_skill(label, probability),
        ece=metrics.ece(label, probability),
        lift_at_10_percent=metrics.lift(label, probability),
        threshold=threshold,
        precision=natural.precision,
        recall=natural.recall,
        f1_score=natural.f1,
        balanced=BalancedFigures(
            threshold=balanced_threshold, precision=balanced.precision, recall=balanced.recall, f1_score=balanced.f1
        ),
    )


def recent_rows(rows: int, as_of: Dates | None, seed: int) -> Ints:
    """Choose at most 20,000 rows: those of the newest dates, drawn at random within a date.

    Parameters
    ----------
    rows : int
        Number of rows to choose from.
    as_of : ndarray of datetime64[D], shape (rows,), or None
        Date of each row; without dates, all rows are equally likely.
    seed : int

    Returns
    -------
    positions : ndarray of int64
        In ascending order.
    """
    rank = np.random.default_rng(seed).random(rows)
    order = np.argsort(rank) if as_of is None else np.lexsort((rank, -as_of.astype(np.int64)))
    return np.sort(order[:IMPORTANCE_ROWS])


def importance(schema: Schema, contributions: Floats) -> list[Importance]:
    """Compute the importance of each feature, its share of the mean absolute SHAP value.

    Parameters
    ----------
    schema : Schema
    contributions : ndarray of float64, shape (n_rows, n_features)
        SHAP values in the order of the schema.

    Returns
    -------
    importances : list of Importance
        In descending order, with a sum of 1; all 0 if the model uses no feature.

    References
    ----------
    Lundberg et al., "From local explanations to global understanding with explainable AI for trees", Nature Machine
    Intelligence 2 (2020).
    """
    mean = np.abs(contributions).mean(axis=0)
    shares = mean / mean.sum() if mean.sum() > 0 else mean
    names = schema.feature_names
    return [
        Importance(
            name=names[i],
            label=schema.feature_label(names[i]),
            short=schema.feature_short(names[i]),
            importance=min(1.0, float(shares[i])),
        )
        for i in np.argsort(-shares, kind="stable")
    ]
