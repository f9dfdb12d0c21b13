"""The charts of a report as SVG elements, with all colours and sizes as attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

Point = tuple[float, float]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 380, 280, 52, 40, 36, 12
INK, FAINT, BLUE, ORANGE, BAND = "#1f2937", "#d1d5db", "#1d4ed8", "#c2410c", "#bfdbfe"


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
        across = _share(point[0], self.x_range) * (WIDTH - LEFT - RIGHT)
        up = _share(point[1], self.y_range) * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)


def _share(value: float, limits: Point) -> float:
    low, high = limits
    return (value - low) / (high - low) if high > low else 0.5


def chart(axes: Axes, *, x_ticks: Sequence[tuple[float, str]] | None = None) -> Element:
    """Draw an empty chart with its title, grid and labels."""
    svg = Element(
        "svg",
        {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "width": str(WIDTH), "height": str(HEIGHT), "role": "img"},
    )
    SubElement(svg, "title").text = axes.title
    _text(svg, (LEFT, 15), axes.title, anchor="start", weight="bold", size=12)
    for value, name in x_ticks if x_ticks is not None else _ticks(axes.x_range):
        x, _ = axes.place((value, axes.y_range[0]))
        _line(svg, (x, TOP), (x, HEIGHT - BOTTOM), FAINT)
        _text(svg, (x, HEIGHT - BOTTOM + 14), name)
    for value, name in _ticks(axes.y_range):
        _, y = axes.place((axes.x_range[0], value))
        _line(svg, (LEFT, y), (WIDTH - RIGHT, y), FAINT)
        _text(svg, (LEFT - 5, y + 3), name, anchor="end")
    _text(svg, ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8), axes.x, size=11)
    _text(svg, (LEFT, TOP - 1), axes.y, anchor="start", size=9)
    return svg


def _ticks(limits: Point, number: int = 5) -> list[tuple[float, str]]:
    low, high = limits
    return [(low + (high - low) * k / number, f"{low + (high - low) * k / number:.3g}") for k in range(number + 1)]


def curve(svg: Element, axes: Axes, points: Sequence[Point], colour: str = BLUE, *, dashed: bool = False) -> None:
    """Draw a line through points."""
    attributes = {"points": _joined(axes, points), "fill": "none", "stroke": colour, "stroke-width": "2"}
    if dashed:
        attributes |= {"stroke-dasharray": "4 4", "stroke-width": "1"}
    SubElement(svg, "polyline", attributes)


def band(svg: Element, axes: Axes, low: Sequence[Point], high: Sequence[Point]) -> None:
    """Fill the area between two lines."""
    SubElement(svg, "polygon", {"points": _joined(axes, [*low, *reversed(high)]), "fill": BAND, "stroke": "none"})


def dots(svg: Element, axes: Axes, points: Sequence[Point], colour: str = BLUE) -> None:
    """Draw a dot at each point."""
    for point in points:
        x, y = axes.place(point)
        SubElement(svg, "circle", {"cx": str(x), "cy": str(y), "r": "3", "fill": colour})


def whiskers(svg: Element, axes: Axes, spans: Sequence[tuple[float, float, float]]) -> None:
    """Draw a vertical line at x from low to high, for each (x, low, high)."""
    for x, low, high in spans:
        _line(svg, axes.place((x, low)), axes.place((x, high)), BLUE)


def bars(title: str, rows: Sequence[tuple[str, float]], format_value: Callable[[float], str]) -> Element:
    """Draw a chart of horizontal bars; the longest one has the full width."""
    height, longest = 26 + 22 * len(rows), max((value for _, value in rows), default=1.0) or 1.0
    svg = Element("svg", {"viewBox": f"0 0 560 {height}", "width": "560", "height": str(height), "role": "img"})
    SubElement(svg, "title").text = title
    _text(svg, (0, 14), title, anchor="start", weight="bold", size=12)
    for number, (name, value) in enumerate(rows):
        y = 24 + 22 * number
        _text(svg, (190, y + 12), name, anchor="end", size=11)
        size = {"width": f"{300 * value / longest:.1f}", "height": "15"}
        SubElement(svg, "rect", {"x": "198", "y": str(y), "fill": BLUE, **size})
        _text(svg, (204 + 300 * value / longest, y + 12), format_value(value), anchor="start", size=11)
    return svg


def _joined(axes: Axes, points: Sequence[Point]) -> str:
    return " ".join(f"{x},{y}" for x, y in map(axes.place, points))


def _line(svg: Element, start: Point, end: Point, colour: str) -> None:
    ends = {"x1": str(start[0]), "y1": str(start[1]), "x2": str(end[0]), "y2": str(end[1])}
    SubElement(svg, "line", {**ends, "stroke": colour, "stroke-width": "1"})


def _text(
    svg: Element, at: Point, content: str, *, anchor: str = "middle", weight: str = "normal", size: int = 10
) -> None:
    attributes = {"x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}", "text-anchor": anchor, "font-size": str(size)}
    attributes |= {"font-family": "system-ui, sans-serif", "font-weight": weight, "fill": INK}
    SubElement(svg, "text", attributes).text = content
