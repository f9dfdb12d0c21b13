"""Features in the report: how much each weighs in the model, and how the score goes with its values.

Law: a weight says how the model works, and nothing of causes and effects; each chart says its scale.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from ml_service.reporting import svg as drawing
from ml_service.reporting.elements import add, section
from ml_service.reporting.svg import Axes
from shared.contracts.api import Dependence, TrainReport

MOST = 15
#: Pixels that a letter of a tick takes, and the most ticks of which all are written.
LETTER, MOST_NAMES = 6.5, 8


def labels_of(report: TrainReport) -> dict[str, str]:
    """Return the label of each feature."""
    return {each.name: each.label for each in report.importance}


def importance_section(body: Element, report: TrainReport) -> None:
    """Append the weightiest features with their shares."""
    part = section(body, "Feature importance")
    add(part, "p", "Share of the mean absolute SHAP value.")
    longest = max((each.importance for each in report.importance), default=1.0) or 1.0
    listed = SubElement(part, "ul", {"class": "bars"})
    for each in report.importance[:MOST]:
        line = SubElement(listed, "li")
        add(line, "span", each.label)
        line.append(drawing.bar(each.importance / longest))
        add(line, "span", f"{100 * each.importance:.1f} %", **{"class": "figure"})


def dependence_section(body: Element, report: TrainReport) -> None:
    """Append a chart for each feature whose values are told."""
    shown = [each for each in report.dependence if len(each.values) > 1]
    if not shown:
        return
    part = section(body, "How the score goes with each feature")
    add(
        part,
        "p",
        "Exact SHAP values on test rows, in log-odds: above 0 the feature adds to the score. The line or dot is the "
        "median of the rows with a value; 80 % of them are in the band. Each chart has a scale of its own.",
    )
    place = SubElement(part, "div", {"class": "figures"})
    for each in shown:
        place.append(_dependence(each))


def _dependence(each: Dependence) -> Element:
    span = (min(*each.low, 0.0), max(*each.high, 0.0))
    if any(isinstance(value, str) and value != "missing" for value in each.values):
        return _by_category(each, span)
    known = [k for k, value in enumerate(each.values) if not isinstance(value, str)]
    xs = [float(each.values[k]) for k in known]
    axes = Axes(each.label, "value", "log-odds", (min(xs), max(xs)), span)
    svg = drawing.chart(axes)
    low, high = ([(x, side[k]) for x, k in zip(xs, known, strict=True)] for side in (each.low, each.high))
    drawing.band(svg, axes, low, high)
    drawing.curve(svg, axes, [(x, each.median[k]) for x, k in zip(xs, known, strict=True)])
    return svg


def _by_category(each: Dependence, span: drawing.Point) -> Element:
    count = len(each.values)
    axes = Axes(each.label, "category", "log-odds", (-0.5, count - 0.5), span)
    room = int(drawing.PLOT_WIDTH / min(count, MOST_NAMES) / LETTER)
    every = -(-count // MOST_NAMES)
    named = [(float(k), _shortened(str(value), room)) for k, value in enumerate(each.values)]
    svg = drawing.chart(axes, x_ticks=named[::every])
    drawing.whiskers(svg, axes, [(k, low, high) for (k, _), low, high in zip(named, each.low, each.high, strict=True)])
    drawing.dots(svg, axes, [(k, median) for (k, _), median in zip(named, each.median, strict=True)])
    return svg


def _shortened(name: str, room: int) -> str:
    return name if len(name) <= room else f"{name[: room - 1]}…"
