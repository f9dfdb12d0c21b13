"""The training report as a single HTML page, without scripts or external files."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from ml_service.reporting import svg as drawing
from ml_service.reporting.elements import UNKNOWN, add, number, percent, section, table
from ml_service.reporting.features import dependence_section, importance_section, labels_of
from ml_service.reporting.outlook import draw_outlook
from ml_service.reporting.profit import profit_sentences
from ml_service.reporting.rolling import rolling_section
from ml_service.reporting.scope import rate_name, scope_sentences
from ml_service.reporting.style import STYLE
from ml_service.reporting.svg import Axes
from shared.contracts.api import CalibrationCheck, TestFigures, TrainReport

FIGURES = (
    ("auc", "ROC AUC"),
    ("average_precision", "Average precision"),
    ("log_loss", "Log loss"),
    ("brier", "Brier score"),
    ("brier_skill", "Brier skill"),
    ("ece", "Calibration error (ECE)"),
    ("lift_at_10_percent", "Lift at 10 %"),
    ("precision", "Precision at the threshold"),
    ("recall", "Recall at the threshold"),
    ("f1_score", "F1 at the threshold"),
)
CHECKS = (
    "Left / expected",
    "Slope (ideal: 1)",
    "ECE, level set free",
    "ECE by chance, up to",
    "Confidence gap",
    "Rows with p ≥ 0.7",
    "Share of them that left (said)",
)


def report_page(report: TrainReport) -> bytes:
    """Write a training report as an HTML page.

    Parameters
    ----------
    report : TrainReport

    Returns
    -------
    page : bytes
        UTF-8.
    """
    html = Element("html", {"lang": "en"})
    head = SubElement(html, "head")
    SubElement(head, "meta", {"charset": "utf-8"})
    SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    SubElement(head, "title").text = f"Model {report.model_version}"
    SubElement(head, "style").text = STYLE
    body = SubElement(SubElement(html, "body"), "main")
    _summary(body, report)
    _figures(body, report)
    _calibration(body, report)
    rolling_section(body, report)
    draw_outlook(body, report)
    _blanked(body, report)
    _curves(body, report)
    _profit(body, report)
    importance_section(body, report)
    dependence_section(body, report)
    _segments(body, report)
    _provenance(body, report)
    return b"<!doctype html>\n" + tostring(html, encoding="utf-8", method="html")


def _summary(body: Element, report: TrainReport) -> None:
    test = report.test
    top = SubElement(body, "header")
    add(top, "h1", f"Model {report.model_version}")
    when = f", from {test.period[0]} to {test.period[1]}" if test.period else ", a random quarter of the table"
    add(
        top,
        "p",
        f"Evaluated on {test.n:,} test rows{when}; {test.positives:,} of these customers left "
        f"({percent(test.prevalence)}). Trained on {report.training_samples:,} rows "
        f"({percent(report.training_prevalence)} left) on {report.timestamp[:10]} at {report.timestamp[11:16]} UTC.",
    )
    if report.live is not None:
        add(
            top,
            "p",
            f"For scoring, the model was fitted again to all {report.live.rows:,} rows with a known outcome. The "
            "figures here judge its sibling, the same configuration fitted without the test rows.",
        )
    add(top, "p", " ".join(scope_sentences(report)))
    if report.ceiling is not None:
        add(top, "p", "The customers are simulated, so these figures say nothing about real ones.", **{"class": "note"})
    if report.warnings:
        listed = SubElement(section(body, "Warnings"), "ul")
        for warning in report.warnings:
            add(listed, "li", warning, **{"class": "note"})


def _figures(body: Element, report: TrainReport) -> None:
    columns = [("Live model", report.champion), ("Ceiling", report.ceiling)]
    others = [(name, figures) for name, figures in columns if figures is not None]
    header = ["Figure", "This model", "95 % interval", *(name for name, _ in others)]
    rows = [_figure_row(name, label, report, [figures for _, figures in others]) for name, label in FIGURES]
    name = f"Figures at the {rate_name(report)} churn rate ({percent(report.test.prevalence)})"
    part = section(body, name)
    said = f"which has the best F1 out of fold. n = {report.test.n:,}."
    add(part, "p", f"Threshold: p ≥ {report.test.threshold:.4f}, {said}")
    table(part, name, header, rows)
    name = "Figures at a churn rate of 1/2 (balanced)"
    part = section(body, name)
    add(part, "p", f"Threshold: p ≥ {report.test.balanced.threshold:.4f}, which has an out-of-fold recall of 0.925.")
    table(part, name, header, [_balanced_row(each, report, others) for each in ("precision", "recall", "f1_score")])
    _baselines(section(body, "Baselines"), report)


def _baselines(part: Element, report: TrainReport) -> None:
    simple = report.baselines.values()
    header = ("Baseline", "ROC AUC", "Log loss")
    table(part, "Baselines", header, [(b.note, number(b.auc), number(b.log_loss)) for b in simple])
    if report.comparison is not None:
        low, high = report.comparison.interval
        verdict = report.comparison.verdict.replace("_", " ")
        difference = f"{report.comparison.difference:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
        add(part, "p", f"Log loss minus that of the live model on the same rows: {difference} ({verdict}).")


def _interval(report: TrainReport, name: str) -> str:
    interval = report.intervals.get(name)
    return UNKNOWN if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _figure_row(name: str, label: str, report: TrainReport, others: Sequence[TestFigures]) -> list[str]:
    others_text = [number(getattr(figures, name)) for figures in others]
    # The bootstrap biases the ECE upwards; its limit by chance is in the section on calibration instead.
    interval = "see calibration" if name == "ece" else _interval(report, name)
    return [label, number(getattr(report.test, name)), interval, *others_text]


def _balanced_row(name: str, report: TrainReport, others: Sequence[tuple[str, TestFigures]]) -> list[str]:
    others_text = [number(getattr(figures.balanced, name)) for _, figures in others]
    label = {"precision": "Precision", "recall": "Recall", "f1_score": "F1"}[name]
    return [label, number(getattr(report.test.balanced, name)), _interval(report, f"balanced_{name}"), *others_text]


def _calibration(body: Element, report: TrainReport) -> None:
    checks = [("All test rows", report.calibration), ("Rows with a missing value", report.calibration_with_missing)]
    shown = [(name, check) for name, check in checks if check is not None]
    rows = zip(CHECKS, *(_checked(check) for _, check in shown), strict=True)
    table(section(body, "Calibration"), "Calibration", ["Check", *(name for name, _ in shown)], list(rows))


def _checked(check: CalibrationCheck) -> list[str]:
    """Write what `CHECKS` names."""
    confidence = f"{check.confidence_gap:.4f}, {'passed' if check.confidence_holds else 'failed'}"
    tail = f"{percent(check.tail_rate)} ({percent(check.tail_said)})" if check.tail_n else "-"
    low, high = check.ratio_interval
    return [
        f"{check.ratio:.2f} ({low:.2f} to {high:.2f})",
        number(check.slope, 2),
        number(check.level_free_ece),
        number(check.ece_limit),
        confidence,
        f"{check.tail_n:,}",
        tail,
    ]


def _blanked(body: Element, report: TrainReport) -> None:
    if not report.blanked:
        return
    part = section(body, "If a feature is missing")
    add(
        part,
        "p",
        "The factor by which the mean score of the test rows changes without a feature that was complete in training.",
    )
    labels = labels_of(report)
    rows = [(labels.get(each.feature, each.feature), number(each.factor, 2)) for each in report.blanked[:15]]
    table(part, "Mean score without a feature", ("Feature", "Factor"), rows)


def _curves(body: Element, report: TrainReport) -> None:
    if report.curves is None:
        return
    curves = report.curves
    part = section(body, "Curves")
    add(part, "p", "On the test rows. The dashed line is chance; for reliability, where predictions come true exactly.")
    place = SubElement(part, "div", {"class": "figures"})
    top = max(bin_.high for bin_ in curves.reliability) * 1.05
    axes = Axes("Reliability", "predicted probability", "share that left (95 % interval)", (0, top), (0, top))
    svg = drawing.chart(axes)
    drawing.curve(svg, axes, [(0, 0), (top, top)], drawing.MUTED, dashed=True)
    drawing.whiskers(svg, axes, [(min(b.predicted, top), b.low, b.high) for b in curves.reliability])
    drawing.dots(svg, axes, [(min(b.predicted, top), b.observed) for b in curves.reliability])
    place.append(svg)
    rate = report.test.prevalence
    place.append(_line_chart(Axes("ROC", "false positive rate", "recall"), curves.roc, [(0, 0), (1, 1)]))
    precision = Axes("Precision and recall", "recall", "precision")
    place.append(_line_chart(precision, curves.precision_recall, [(0, rate), (1, rate)]))
    place.append(
        _line_chart(Axes("Gain", "share contacted", "share of leavers reached"), curves.gain, [(0, 0), (1, 1)])
    )
    most = max(y for _, y in curves.lift)
    lift = Axes("Lift", "share contacted", "multiple of the churn rate", (0, 1), (0, most))
    place.append(_line_chart(lift, curves.lift, [(0, 1), (1, 1)]))


def _profit(body: Element, report: TrainReport) -> None:
    if report.profit is not None:
        add(section(body, "Whom to contact"), "p", " ".join(profit_sentences(report.profit)))


def _line_chart(axes: Axes, points: Sequence[drawing.Point], chance: Sequence[drawing.Point]) -> Element:
    svg = drawing.chart(axes)
    drawing.curve(svg, axes, chance, drawing.MUTED, dashed=True)
    drawing.curve(svg, axes, points)
    return svg


def _segments(body: Element, report: TrainReport) -> None:
    if not report.segments:
        return
    header = ("Feature", "Value", "n", "Left", "Mean prediction", "ROC AUC", "Log loss", "Log loss of the live model")
    labels = labels_of(report)
    rows = [
        (
            labels.get(part.feature, part.feature),
            part.value,
            f"{part.n:,}",
            percent(part.prevalence),
            percent(part.mean_probability),
            number(part.auc),
            number(part.log_loss),
            "-" if part.champion_log_loss is None else number(part.champion_log_loss),
        )
        for part in report.segments
    ]
    table(section(body, "Segments"), "Segments of the test rows", header, rows)


def _provenance(body: Element, report: TrainReport) -> None:
    search = report.search
    rows = [
        ("Split", "by time" if report.split == "time" else "at random, stratified by label, grouped by customer"),
        ("Training period", " to ".join(report.training_period) if report.training_period else "-"),
        ("Rows of the live model", f"{report.live.rows:,}" if report.live else "-"),
        ("Configurations tried", f"{search.get('trials', '-')}; number {search.get('chosen', '-')} was chosen"),
        (
            "Trees",
            f"{report.parameters['rounds']} x {report.parameters['bag']}, depth {report.parameters['max_depth']}",
        ),
        ("Seed", str(report.seed)),
        ("Data, SHA-256", report.data_sha256),
        ("Model, SHA-256", report.model_sha256),
    ]
    table(section(body, "Training"), "Training", ("What", "Value"), rows)
