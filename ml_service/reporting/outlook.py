"""Horizons and causes of a report as rows of a table, and sentences for what has none.

Law: a figure stands beside its n; what was not judged is told with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from ml_service.reporting.elements import add, section, table
from shared.contracts.api import TrainReport
from shared.contracts.outlook import Judged, OutlookReport

HEADER = ("Leaving within", "n", "Left", "Left / expected", "95 %", "ECE", "AUC")


def outlook_of(report: TrainReport) -> OutlookReport | None:
    """Return the outlook of a report; None where the report is older or the table has no dates."""
    return report.outlook if report.split == "time" else None


def outlook_rows(outlook: OutlookReport, label_days: int | None) -> Iterator[tuple[str, ...]]:
    """Write a row for each horizon and each cause that was judged.

    Parameters
    ----------
    outlook : OutlookReport
    label_days : int or None
        Days of the score itself, which the causes are about.

    Yields
    ------
    row : tuple of str
        As long as `HEADER`.
    """
    for horizon in outlook.horizons:
        if horizon.judged is not None:
            yield _row(f"{horizon.days} days", horizon.judged)
    for each in outlook.causes:
        yield _row(f"{label_days} days, {each.cause}", each.judged)


def _row(name: str, judged: Judged) -> tuple[str, ...]:
    low, high = judged.ratio_interval
    area = "-" if judged.auc is None else f"{judged.auc:.4f}"
    ratio = f"{judged.ratio:.4f}"
    return name, f"{judged.n:,}", f"{judged.left:,}", ratio, f"{low:.4f} to {high:.4f}", f"{judged.ece:.4f}", area


def outlook_sentences(outlook: OutlookReport) -> Iterator[str]:
    """Write what was left out, and why; the same reason once.

    Parameters
    ----------
    outlook : OutlookReport

    Yields
    ------
    sentence : str
    """
    by_reason: dict[str, list[str]] = {}
    for horizon in outlook.horizons:
        if horizon.reason is not None:
            by_reason.setdefault(horizon.reason, []).append(f"{horizon.days} days")
    if outlook.causes_reason is not None:
        by_reason.setdefault(outlook.causes_reason, []).append("causes")
    for reason, names in by_reason.items():
        yield f"Left out: {', '.join(names)}. {reason}"


def draw_outlook(body: Element, report: TrainReport) -> None:
    """Append the table and the sentences to a page; nothing for a table without dates."""
    outlook = outlook_of(report)
    if outlook is None:
        return
    part = section(body, "Horizons and causes")
    about = "On later dates than the calibrations knew. The interval holds chance, by customer, and the level's spread."
    add(part, "p", about)
    rows = list(outlook_rows(outlook, report.horizon_days))
    if rows:
        table(part, "Horizons and causes", HEADER, rows)
    for sentence in outlook_sentences(outlook):
        add(part, "p", sentence)
