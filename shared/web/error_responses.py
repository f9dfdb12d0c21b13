"""The answer of every failure: its status, its body, and the handlers that send it.

Law: statuses are defined only here; no other handler catches an unknown exception.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from flask import Flask, Response, current_app, request
from gunicorn.http import errors as refusals
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from shared.errors import DiskFull, MalformedRequest, ServiceError, is_disk_full
from shared.parsing_limits import MAX_DETAILS
from shared.web.request_ids import request_id

#: HTTP status by error code.
STATUS_OF: Mapping[str, int] = {
    "malformed_request": 400,
    "unauthenticated": 401,
    "token_rejected": 403,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "no_model": 409,
    "no_customers": 409,
    "conflict": 409,
    "schema_mismatch": 409,
    "cancelled": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "validation_failed": 422,
    "invalid_schema": 422,
    "invalid_table": 422,
    "idempotency_key_reused": 422,
    "insufficient_data": 422,
    "leak_found": 422,
    "unchanged": 409,
    "no_signal": 422,
    "feature_missing": 409,
    "rate_limited": 429,
    "too_many_queued": 429,
    "corrupt_model": 500,
    "corrupt_backup": 500,
    "internal": 500,
    "service_error": 500,
    "service_unavailable": 503,
    "database_busy": 503,
    "model_unavailable": 503,
    "disk_full": 503,
    "queue_full": 503,
    "spool_full": 503,
}
_HTTP_CODES = {
    400: ("malformed_request", "The request can't be read."),
    404: ("not_found", "Route not found"),
    405: ("method_not_allowed", "This route does not support that method."),
    413: ("too_large", "The body is larger than this server accepts."),
    414: ("too_large", "The path and its query are longer than this server accepts."),
    415: ("unsupported_media_type", "Send JSON with Content-Type: application/json."),
    429: ("rate_limited", "Too many requests; try again later."),
    431: ("too_large", "The headers are larger than this server accepts."),
    500: ("internal", "Something went wrong here. Search the log for the request id."),
    503: ("service_unavailable", "Too many requests that take long are waiting; try again."),
}
#: Statuses of the errors that gunicorn raises before a request reaches Flask; 400 for all others.
_REFUSALS: Mapping[type[Exception], int] = {
    refusals.LimitRequestLine: 414,
    refusals.LimitRequestHeaders: 431,
    refusals.ExpectationFailed: 417,
    refusals.UnsupportedTransferCoding: 501,
    refusals.ConfigurationProblem: 500,
}
RETRY_AFTER_S = 5

log = structlog.get_logger()


def register_error_handlers(app: Flask) -> None:
    """Answer every failure with the same form of body."""
    app.register_error_handler(ServiceError, error_response)
    app.register_error_handler(HTTPException, on_http_exception)
    app.register_error_handler(ParseException, _on_broken_body)
    app.register_error_handler(Exception, _on_unknown)


def error_response(error: ServiceError) -> Response:
    """Return the answer to a failure."""
    body: dict[str, Any] = {"code": error.code, "request_id": request_id()}
    if error.details:
        body["details"] = error.details[:MAX_DETAILS]
    response = Response(
        orjson.dumps({"success": False, "message": error.message, "error": body}),
        status=STATUS_OF[error.code],
        mimetype="application/json",
    )
    wait = error.retry_after_s or (RETRY_AFTER_S if response.status_code == 503 else None)
    if wait is not None:
        response.headers["Retry-After"] = str(wait)
    return response


def status_of_refusal(error: Exception) -> int:
    """Return the status of a refusal before Flask; 500 if the client is not at fault."""
    return _REFUSALS.get(type(error), 400) if isinstance(error, ParseException) else 500


def answer_before_flask(status: int) -> bytes:
    """Return a complete answer, head and body, for a request that does not reach Flask."""
    code, message = _HTTP_CODES.get(status, _HTTP_CODES[400])
    found = secrets.token_hex(8)
    log.info("refused", status=status, request_id=found)
    body = orjson.dumps({"success": False, "message": message, "error": {"code": code, "request_id": found}})
    lines = (
        f"HTTP/1.1 {status} {HTTP_STATUS_CODES[status]}",
        "Content-Type: application/json",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Content-Security-Policy: default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
        f"X-Request-ID: {found}",
        f"Content-Length: {len(body)}",
        *((f"Retry-After: {RETRY_AFTER_S}",) if status == 503 else ()),
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


class _HttpError(ServiceError):
    """A failure found by Flask itself (unknown route, wrong method, body too large)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def on_http_exception(error: HTTPException) -> Response:
    """Return the answer to what Flask itself refuses."""
    if error.response is not None:
        return error.response  # type: ignore[return-value]  # abort(response): already ours
    if error.code is not None and error.code < 400:
        return error.get_response()  # type: ignore[return-value]  # a redirect
    code, message = _HTTP_CODES.get(error.code or 500, ("malformed_request", "The request can't be served."))
    response = error_response(_HttpError(code, message))
    allowed = methods_of_path() or getattr(error, "valid_methods", None)
    if allowed and error.code == 405:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def methods_of_path() -> set[str]:
    """Return the methods of rules that equal the path; a rule with a parameter (`/<id>`) matches it only by chance."""
    rules = (rule for rule in current_app.url_map.iter_rules() if rule.rule == request.path)
    return {method for rule in rules for method in rule.methods or ()}


def _on_broken_body(_: Exception) -> Response:
    # gunicorn checks a chunked body only while the application reads it.
    return error_response(MalformedRequest("The body is incomplete or is not a valid chunked body."))


def _on_unknown(error: Exception) -> Response:
    if is_disk_full(error):
        log.error("disk_full", path=request.path)
        return error_response(DiskFull())
    log.exception("unhandled", path=request.path, method=request.method)
    return error_response(_HttpError(*_HTTP_CODES[500]))
