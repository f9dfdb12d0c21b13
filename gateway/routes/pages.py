"""The page: static files, no token.

Law: nothing is rendered here; the page calls the API like any other client.
"""

from __future__ import annotations

from pathlib import Path

from flask import Response, send_from_directory

from gateway.openapi import AssetPath, blueprint

PAGE = Path(__file__).parent.parent / "page"
bp = blueprint("pages", __name__, prefix="", signed_in=False)


@bp.get("/", doc_ui=False)
def index() -> Response:
    """The page."""
    return send_from_directory(PAGE, "index.html")


@bp.get("/page/<path:name>", doc_ui=False)
def asset(path: AssetPath) -> Response:
    """The page's modules and styles."""
    # Revalidated each time, and answered 304 while unchanged: modules of two versions never mix.
    return send_from_directory(PAGE, path.name)
