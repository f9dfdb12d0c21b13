"""The page: static files, no token.

Law: nothing is rendered here; the page calls the API like any other client.
"""

from __future__ import annotations

from pathlib import Path

from flask import Response, request, send_from_directory
from werkzeug.exceptions import NotFound

from gateway.openapi import AssetPath, blueprint
from shared.web.error_responses import on_http_exception

PAGE = Path(__file__).parent.parent / "page"
bp = blueprint("pages", __name__, prefix="", signed_in=False)


@bp.get("/", doc_ui=False)
def index() -> Response:
    """The page."""
    return send_from_directory(PAGE, "index.html")


@bp.get("/page/<path:name>", doc_ui=False)
def asset(path: AssetPath) -> Response:
    """The page's modules and styles."""
    # Revalidated each time, and answered 304 while unchanged: a page that is opened has modules of one version.
    return send_from_directory(PAGE, path.name)


@bp.get("/favicon.ico", doc_ui=False)
def favicon() -> Response:
    """The sign of the page, for whoever asks at the address that browsers try first."""
    return send_from_directory(PAGE, "favicon.svg")


@bp.app_errorhandler(404)
def no_such_address(error: NotFound) -> Response:
    """A page for somebody who opened an address that does not exist; the usual body for programs and below /api."""
    wants_page = request.accept_mimetypes.best_match(("application/json", "text/html")) == "text/html"
    if error.response is not None or not wants_page or request.path.startswith("/api/"):
        return on_http_exception(error)
    answer = send_from_directory(PAGE, "not-found.html", conditional=False)
    answer.status_code = 404
    return answer
