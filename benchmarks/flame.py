"""Draw where time goes: collapsed stacks, as a sampling profiler writes them, to a picture without scripts.

Law: a frame is as wide as its share of the samples; what is narrower than half a per cent is left out.

py-spy record -p PID -d 10 -f raw -o stacks.txt; python -m benchmarks.flame stacks.txt picture.svg --from handle_request
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, ROW, SMALLEST = 1200, 17, 0.005
COLOURS = {"gateway": "#f4a261", "database": "#e9c46a", "shared": "#e76f51", "ml_service": "#2a9d8f"}
OTHER = "#cbd5e1"


@dataclass
class Frame:
    """A function as called from one place, its samples, and what it called."""

    samples: int = 0
    inside: dict[str, Frame] = field(default_factory=dict)


def read(text: str, start: str | None) -> Frame:
    """A tree of collapsed stacks (`a;b;c 12`), each begun at the first function whose name holds `start`."""
    stacks: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        names, _, count = line.rpartition(" ")
        frames = [_short(name) for name in names.split(";")]
        at = next((k for k, name in enumerate(frames) if start is None or start in name), None)
        if at is not None:
            stacks[tuple(frames[at:])] += int(count)
    root = Frame()
    for frames, count in stacks.items():
        here = root
        here.samples += count
        for name in frames:
            here = here.inside.setdefault(name, Frame())
            here.samples += count
    return root


def _short(name: str) -> str:
    """Function and file: no line, no folder of the machine it ran on."""
    found = re.match(r"(.*) \((.*?)(?::\d+)?\)$", name)
    if found is None:
        return name
    path = re.sub(r".*(site-packages|lib/python[\d.]+)/", "", found[2])
    own = re.search(r"(gateway|database|shared|ml_service|benchmarks)/.*", path)
    return f"{found[1]} ({own[0] if own else path.lstrip('/')})"


def draw(root: Frame) -> str:
    """The picture as SVG."""
    boxes: list[tuple[int, float, float, str]] = []

    def lay(frame: Frame, depth: int, left: float) -> None:
        for name, inner in sorted(frame.inside.items(), key=lambda pair: -pair[1].samples):
            share = inner.samples / root.samples
            if share >= SMALLEST:
                boxes.append((depth, left, share, name))
                lay(inner, depth + 1, left)
            left += share

    lay(root, 0, 0.0)
    height = (max((box[0] for box in boxes), default=0) + 1) * ROW
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" '
             f'font-size="11">']  # fmt: skip
    for depth, left, share, name in boxes:
        package = re.search(r"\((\w+)/", name)
        colour = COLOURS.get(package[1] if package else "", OTHER)
        x, width, room = left * WIDTH, share * WIDTH, int(share * WIDTH / 6.7)
        shown = name if len(name) <= room else name[: max(room - 1, 0)] + "…" if room > 4 else ""
        parts.append(
            f'<g><title>{escape(name)} {share:.1%}</title><rect x="{x:.1f}" y="{depth * ROW}" width="{width:.1f}" '
            f'height="{ROW - 1}" fill="{colour}"/><text x="{x + 2:.1f}" y="{depth * ROW + 12}">{escape(shown)}</text></g>'
        )
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Read, draw, write."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("stacks", type=Path)
    command.add_argument("picture", type=Path)
    command.add_argument("--from", dest="start", help="begin at the first function whose name holds this")
    given = command.parse_args()
    given.picture.write_text(draw(read(given.stacks.read_text(encoding="utf-8"), given.start)), encoding="utf-8")


if __name__ == "__main__":
    main()
