"""The definitions that the page shows on a figure: taken out of docs/definitions.md, never written twice.

`python -m tests.e2e.definitions` writes gateway/page/frame/terms.js anew; a test holds the file to what this gives.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEFINITIONS = ROOT / "docs" / "definitions.md"
PAGE = ROOT / "gateway" / "page"
TERMS = PAGE / "frame" / "terms.js"
HEAD = "// Definitions of figures, made from docs/definitions.md by `python -m tests.e2e.definitions`.\n\n"
#: As many paragraphs as a reader of a figure takes in.
PARAGRAPHS = 2
#: How a module asks for one: help("term", ...), term: "term", block("Title", "term", ...), card's term.
HELP = r'\b(?:help\(|term: |block\("[^"]+", )"([a-z-]+)"'


def definitions() -> dict[str, dict[str, object]]:
    """Every term of docs/definitions.md: its title, anchor and first paragraphs."""
    found = re.split(r'<a id="([^"]+)"></a>\n##(#?) (.+)\n', DEFINITIONS.read_text(encoding="utf-8"))[1:]
    sections = zip(found[0::4], found[1::4], found[2::4], found[3::4], strict=True)
    return {
        anchor: {"title": title, "anchor": anchor, "text": paragraphs(body)}
        for anchor, term, title, body in sections
        if term
    }


def paragraphs(body: str) -> list[str]:
    """The first paragraphs of a section as plain text; lists and tables are no text."""
    prose = [part for part in body.strip().split("\n\n") if not part.lstrip().startswith(("-", "|", "`" * 3, "<"))]
    return [_plain(part) for part in prose[:PARAGRAPHS]]


def _plain(markdown: str) -> str:
    unlinked = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"\s+", " ", unlinked.replace("`", "").replace("*", "")).strip()


def asked() -> set[str]:
    """The terms that a figure of the page offers help on."""
    modules = (file.read_text(encoding="utf-8") for file in PAGE.rglob("*.js"))
    return {term for text in modules for term in re.findall(HELP, text)}


def module() -> str:
    """The text of terms.js: the terms that the page asks for."""
    known = {name: term for name, term in definitions().items() if name in asked()}
    lines = (f"  {json.dumps(name)}: {json.dumps(term, ensure_ascii=False)},\n" for name, term in known.items())
    return f"{HEAD}export const TERMS = {{\n{''.join(lines)}}};\n"


if __name__ == "__main__":
    TERMS.write_text(module(), encoding="utf-8")
