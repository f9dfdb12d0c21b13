"""Checks a request's body before a route's model reads it.

Law: an empty body is an empty object; any other body is one JSON object, except on routes that accept files.
"""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import BadRequest

from shared.errors import InvalidInput, MalformedRequest, UnsupportedMedia
from shared.parsing_limits import MAX_JSON_BYTES, refuse_hard_json

METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
UPLOADS = (
    "/api/customers/import",
    "/api/customers/import/preview",
    "/api/customers/import/schema",
    "/api/customers/outcomes",
    "/api/campaigns/contacts/import",
    "/api/do-not-contact/import",
)


def check() -> None:
    """Check the present request's body, and keep it parsed for the route.

    Raises
    ------
    UnsupportedMedia
        The body is not JSON.
    MalformedRequest
        The body is JSON that can't be read, or is nested too deeply; NaN and Infinity are not JSON.
    InvalidInput
        The body is JSON, but not an object.
    """
    assert request.url_rule is not None
    if request.method not in METHODS_WITH_BODY or not request.url_rule.rule.startswith("/api/"):
        return
    if request.url_rule.rule in UPLOADS and request.mimetype == "multipart/form-data":
        return
    request.max_content_length = MAX_JSON_BYTES
    raw = request.get_data(cache=True)
    if not raw.strip():
        return
    if request.mimetype and not request.is_json:
        raise UnsupportedMedia("Send JSON with Content-Type: application/json.")
    refuse_hard_json(raw)
    try:
        # Forced: old clients send `{}` without a content type. The route gets the value parsed here.
        value = request.get_json(force=True)
    except BadRequest:
        if not request.mimetype:
            raise UnsupportedMedia("Send JSON with Content-Type: application/json.") from None
        raise MalformedRequest("The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise InvalidInput.of([{"field": "body", "message": "Send a JSON object."}], lead="")
