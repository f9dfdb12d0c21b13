"""The training report as text for a terminal; unknown figures are dashes."""

from __future__ import annotations

from collections.abc import Iterator

from ml_service.reporting.outlook import HEADER, outlook_of, outlook_rows, outlook_sentences
from ml_service.reporting.profit import profit_sentences
from ml_service.reporting.rolling import rolling_lines
from ml_service.reporting.scope import rate_name, scope_sentences
from shared.contracts.api import BalancedFigures, TestFigures, TrainReport
from shared.contracts.outlook import OutlookReport
from shared.plural import plural


def _figure(value: float | None) -> str:
    return f"{value:.4f}" if value is not None else "-"


def report_text(report: TrainReport) -> str:
    """Write a training report as text.

    Parameters
    ----------
    report : TrainReport

    Returns
    -------
    text : str
        Lines without trailing blanks.
    """
    lines = [
        f"Model {report.model_version}: {report.algorithm}, {_size(report)}, "
        f"{plural(report.features, 'feature')}, fitted on {plural(report.training_samples, 'row')} "
        f"({100 * report.training_prevalence:.1f} % churned)",
        *_live(report),
        *scope_sentences(report),
        "",
        *_test(report),
        "",
        f"{'Baselines on the test rows':72} {'AUC':6}  log loss",
        *(f"  {b.note[:70]:70} {_figure(b.auc)}  {_figure(b.log_loss)}" for b in report.baselines.values()),
        "",
        "Importance (share of mean |SHAP|)",
        *(f"  {each.label:30} {100 * each.importance:5.1f} %" for each in report.importance[:10]),
    ]
    if report.rolling is not None:
        lines += ["", *rolling_lines(report)]
    outlook = outlook_of(report)
    if outlook is not None:
        lines += ["", *_outlook(outlook, report.horizon_days)]
    if report.profit is not None:
        lines += ["", *profit_sentences(report.profit)]
    if report.blanked:
        lines += ["", *_blanked(report)]
    if report.warnings:
        lines += ["", *(f"Note: {warning}" for warning in report.warnings)]
    return "\n".join(line.rstrip() for line in lines)


def _outlook(outlook: OutlookReport, label_days: int | None) -> Iterator[str]:
    """Horizons and causes on later dates than their calibrations knew."""
    rows = list(outlook_rows(outlook, label_days))
    if rows:
        yield "{:24} {:>9} {:>8}  {:>15}  {:20}  {:6}  {:6}".format(*HEADER)
    for row in rows:
        yield "  {:22} {:>9} {:>8}  {:>15}  {:20}  {:6}  {:6}".format(*row)
    yield from outlook_sentences(outlook)


def _blanked(report: TrainReport) -> Iterator[str]:
    """The factors by which missing features change the mean score, furthest from 1 first."""
    yield "Mean score without a feature that was complete in training (1.00 is no change)"
    for each in report.blanked[:10]:
        yield f"  {each.feature:30} {each.factor:5.2f} times"


def _size(report: TrainReport) -> str:
    chosen = report.parameters
    return f"{plural(chosen['rounds'] * chosen['bag'], 'tree')} of depth {chosen['max_depth']}"


def _at(threshold: float, figures: TestFigures | BalancedFigures) -> str:
    figures_text = [f"{_figure(value)}" for value in (figures.precision, figures.recall, figures.f1_score)]
    return f"  at p >= {threshold:.4f}:  precision {figures_text[0]}  recall {figures_text[1]}  F1 {figures_text[2]}"


def _live(report: TrainReport) -> list[str]:
    if report.live is None:
        return []
    return [
        f"For scoring it was fitted again to all {plural(report.live.rows, 'row')} with a known outcome; "
        "the figures below are those of the fit without the test rows."
    ]


def _test(report: TrainReport) -> Iterator[str]:
    test, ceiling_figures = report.test, report.ceiling
    when = f", {test.period[0]} to {test.period[1]}" if test.period else ""
    share = f"{100 * test.prevalence:.2f} % churned{when}"
    yield f"Test rows, {rate_name(report)} prevalence: n = {test.n:,}, {share}"
    for name, label in _FIGURES.items():
        interval = report.intervals.get(name)
        spread = f"  [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
        ceiling = f"   (ceiling {_figure(getattr(ceiling_figures, name))})" if ceiling_figures is not None else ""
        yield f"  {label:18} {_figure(getattr(test, name)):7}{spread}{ceiling}"
    if report.calibration is not None:
        check = report.calibration
        low, high = check.ratio_interval
        yield f"  left / expected    {check.ratio:.4f}   [{low:.4f}, {high:.4f}]  ({check.expected:,.1f} expected)"
        yield f"  calibration slope  {_figure(check.slope)}"
        yield f"  ECE, level free    {check.level_free_ece:.4f}   (by chance alone: up to {check.ece_limit:.4f})"
    yield _at(test.threshold, test)
    if ceiling_figures is not None:
        yield _at(ceiling_figures.threshold, ceiling_figures) + "   (ceiling)"
    yield "Test rows, balanced (prevalence 1/2)"
    yield _at(test.balanced.threshold, test.balanced)
    if ceiling_figures is not None:
        yield _at(ceiling_figures.balanced.threshold, ceiling_figures.balanced) + "   (ceiling)"


_FIGURES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier",
    "brier_skill": "Brier skill",
    "ece": "ECE",
    "lift_at_10_percent": "lift at 10 %",
}
