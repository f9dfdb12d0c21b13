"""The charts of a report as SVG elements.

Law: colours are those of the page's sheet, by name, so that a chart follows light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

Point = tuple[float, float]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 300, 240, 42, 44, 46, 10
PLOT_WIDTH = WIDTH - LEFT - RIGHT
MUTED, GRID, MODEL, BAND = "var(--muted)", "var(--line)", "var(--bar)", "var(--band)"


@dataclass(frozen=True)
class Axes:
    """The title, the axis labels and the ranges of a chart."""

    title: str
    x: str
    y: str
    x_range: Point = (0.0, 1.0)
    y_range: Point = (0.0, 1.0)

    def place(self, point: Point) -> Point:
        """Convert values to coordinates of the drawing."""
        across = _share(point[0], self.x_range) * PLOT_WIDTH
        up = _share(point[1], self.y_range) * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)


def _share(value: float, limits: Point) -> float:
    low, high = limits
    return (value - low) / (high - low) if high > low else 0.5


def chart(axes: Axes, *, x_ticks: Sequence[tuple[float, str]] | None = None) -> Element:
    """Draw an empty chart with its title, grid and labels."""
    svg = Element("svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img"})
    SubElement(svg, "title").text = f"{axes.title}: {axes.y}, by {axes.x}"
    _text(svg, (0, 14), axes.title, anchor="start", weight="bold", size=13)
    for value, name in x_ticks if x_ticks is not None else _ticks(axes.x_range):
        x, _ = axes.place((value, axes.y_range[0]))
        _line(svg, (x, TOP), (x, HEIGHT - BOTTOM), GRID)
        _text(svg, (x, HEIGHT - BOTTOM + 14), name)
    for value, name in _ticks(axes.y_range):
        _, y = axes.place((axes.x_range[0], value))
        _line(svg, (LEFT, y), (WIDTH - RIGHT, y), GRID)
        _text(svg, (LEFT - 5, y + 3), name, anchor="end")
    _text(svg, ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8), axes.x, size=12)
    _text(svg, (0, 32), axes.y, anchor="start", size=12)
    return svg


def _ticks(limits: Point, most: int = 6) -> list[tuple[float, str]]:
    """Round numbers within a range, as many as fit."""
    low, high = limits
    rough = (high - low) / most or 1.0
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * times for times in (1, 2, 2.5, 5, 10) if size * times >= rough)
    return [(k * step, f"{k * step:.4g}") for k in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def curve(svg: Element, axes: Axes, points: Sequence[Point], colour: str = MODEL, *, dashed: bool = False) -> None:
    """Draw a line through points."""
    attributes = {"points": _joined(axes, points), "fill": "none", "stroke": colour, "stroke-width": "2"}
    if dashed:
        attributes |= {"stroke-dasharray": "4 4", "stroke-width": "1"}
    SubElement(svg, "polyline", attributes)


def band(svg: Element, axes: Axes, low: Sequence[Point], high: Sequence[Point]) -> None:
    """Fill the area between two lines."""
    SubElement(svg, "polygon", {"points": _joined(axes, [*low, *reversed(high)]), "fill": BAND, "stroke": "none"})


def dots(svg: Element, axes: Axes, points: Sequence[Point], colour: str = MODEL) -> None:
    """Draw a dot at each point."""
    for point in points:
        x, y = axes.place(point)
        SubElement(svg, "circle", {"cx": str(x), "cy": str(y), "r": "3", "fill": colour})


def whiskers(svg: Element, axes: Axes, spans: Sequence[tuple[float, float, float]]) -> None:
    """Draw a vertical line at x from low to high, for each (x, low, high)."""
    for x, low, high in spans:
        _line(svg, axes.place((x, low)), axes.place((x, high)), MODEL)


def bar(share: float) -> Element:
    """Draw a bar over a share of the width; it repeats a number that stands beside it."""
    svg = Element("svg", {"viewBox": "0 0 100 10", "preserveAspectRatio": "none", "aria-hidden": "true"})
    SubElement(svg, "rect", {"width": f"{100 * share:.1f}", "height": "10", "fill": MODEL})
    return svg


def _joined(axes: Axes, points: Sequence[Point]) -> str:
    return " ".join(f"{x},{y}" for x, y in map(axes.place, points))


def _line(svg: Element, start: Point, end: Point, colour: str) -> None:
    ends = {"x1": str(start[0]), "y1": str(start[1]), "x2": str(end[0]), "y2": str(end[1])}
    SubElement(svg, "line", {**ends, "stroke": colour, "stroke-width": "1"})


def _text(
    svg: Element, at: Point, content: str, *, anchor: str = "middle", weight: str = "normal", size: int = 11
) -> None:
    attributes = {"x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}", "text-anchor": anchor, "font-size": str(size)}
    attributes |= {"font-weight": weight}
    SubElement(svg, "text", attributes).text = content
