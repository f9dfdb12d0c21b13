"""What a model did on rows it had not seen: the figures, and the importance of its features.

Law: a figure travels with its n, its prevalence and its period.
"""

from __future__ import annotations

import numpy as np

from ml_service import metrics
from ml_service.arrays import Dates, Floats, Ints, Labels
from shared.contracts.api import BalancedFigures, Importance, TestFigures
from shared.schema.features import Schema

#: Contributions cost the most of a training; so many rows tell the shares to a tenth of a per cent.
IMPORTANCE_ROWS = 20_000


def period(as_of: Dates | None) -> tuple[str, str] | None:
    """First and last date, as text; None without dates."""
    return None if as_of is None or not len(as_of) else (str(as_of.min()), str(as_of.max()))


def figures(
    label: Labels, probability: Floats, *, threshold: float, balanced_threshold: float, as_of: Dates | None = None
) -> TestFigures:
    """All figures of docs/definitions.md#model-figures on one set of rows, at its natural prevalence; then balanced.

    Parameters
    ----------
    label, probability
        Shape (rows,); probabilities calibrated.
    threshold, balanced_threshold
        Chosen elsewhere, on training rows.
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
    """At most 20,000 positions: the newest dates first, drawn at random within a date."""
    rank = np.random.default_rng(seed).random(rows)
    order = np.argsort(rank) if as_of is None else np.lexsort((rank, -as_of.astype(np.int64)))
    return np.sort(order[:IMPORTANCE_ROWS])


def importance(schema: Schema, contributions: Floats) -> list[Importance]:
    """Shares of mean |SHAP|, descending; all 0 where the model uses no feature.

    Parameters
    ----------
    contributions
        Shape (rows, features).
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
