"""A number with its noun, as people read it: "1 customer", "13,334 customers"."""

from __future__ import annotations


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun; `many` is the noun's plural where that is not `one` and an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
