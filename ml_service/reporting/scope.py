"""Sentences on the scope of a model: the features it does without, the days it covers, the churn rate of its scores.

Law: no number of days and no rate is said that neither dates nor the schema give.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts.api import TrainReport


def scope_sentences(report: TrainReport) -> Iterator[str]:
    """Write what the scores of a model are about.

    Parameters
    ----------
    report : TrainReport

    Yields
    ------
    sentence : str
    """
    if report.left_out:
        yield f"Left out of the model: {', '.join(report.left_out)}."
    if report.horizon_days is not None:
        yield f"A score is the probability of leaving within {report.horizon_days} days."
    else:
        yield (
            "A score is the probability that the label says left: neither dates nor the schema (`horizon_days`) say "
            "within how many days."
        )
    if report.natural_rate is not None:
        yield (
            f"Scores are shifted from the table's churn rate to {100 * report.natural_rate:g} % (`natural_rate`); the "
            "figures on test rows are at the table's own rate."
        )
    elif report.training_period is None:
        yield (
            "Scores are at the table's churn rate: if the table is a sample, they count nobody until the schema gives "
            "the rate of all customers (`natural_rate`)."
        )


def rate_name(report: TrainReport) -> str:
    """Return which churn rate the figures on test rows are at."""
    return "natural" if report.natural_rate is None else "table's own"
