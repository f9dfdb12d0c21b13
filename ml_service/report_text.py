"""A training report as people read it in a terminal.

Law: natural prevalence first, then balanced; what is unknown is a dash.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts import BalancedFigures, TestFigures, TrainReport


def _figure(value: float | None) -> str:
    return f"{value:.4f}" if value is not None else "-"


def report_text(report: TrainReport, *, ceiling_auc: float | None = None) -> str:
    """The report, a figure or a baseline a line.

    Parameters
    ----------
    ceiling_auc
        AUC of the true probability on the test rows, where that is known.
    """
    lines = [
        f"Model {report.model_version}: {report.algorithm}, {report.parameters['rounds']} trees, "
        f"{report.features} features, fitted on {report.training_samples:,} rows "
        f"({100 * report.training_prevalence:.1f} % churned)",
        "",
        *_test(report.test, ceiling_auc),
        "",
        f"{'Baselines on the same rows':72} {'AUC':6}  log loss",
        *(f"  {b.note[:70]:70} {_figure(b.auc)}  {_figure(b.log_loss)}" for b in report.baselines.values()),
        "",
        "Importance (share of mean |SHAP|)",
        *(f"  {each.label:30} {100 * each.importance:5.1f} %" for each in report.importance[:10]),
    ]
    if report.warnings:
        lines += ["", *(f"Note: {warning}" for warning in report.warnings)]
    return "\n".join(lines)


def _at(threshold: float, figures: TestFigures | BalancedFigures) -> str:
    told = [f"{_figure(value)}" for value in (figures.precision, figures.recall, figures.f1_score)]
    return f"  at p >= {threshold:.4f}:  precision {told[0]}  recall {told[1]}  F1 {told[2]}"


def _test(test: TestFigures, ceiling_auc: float | None) -> Iterator[str]:
    when = f", {test.period[0]} to {test.period[1]}" if test.period else ""
    ceiling = f"   (ceiling {_figure(ceiling_auc)})" if ceiling_auc is not None else ""
    yield f"Test rows, natural prevalence: n = {test.n:,}, {100 * test.prevalence:.2f} % churned{when}"
    yield f"  AUC                {_figure(test.auc)}{ceiling}"
    yield f"  average precision  {_figure(test.average_precision)}"
    yield f"  log loss           {_figure(test.log_loss)}"
    yield f"  Brier              {_figure(test.brier)}   (skill {_figure(test.brier_skill)})"
    yield f"  ECE                {_figure(test.ece)}"
    yield f"  lift at 10 %       {_figure(test.lift_at_10_percent)}"
    yield _at(test.threshold, test)
    yield "The same rows, balanced (prevalence 1/2)"
    yield _at(test.balanced.threshold, test.balanced)
