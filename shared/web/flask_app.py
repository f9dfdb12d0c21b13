"""The Flask that both services wear: request ids, logs, one error body, metrics, security headers.

Law: statuses live here and nowhere else; nothing but the handler below catches an unknown exception.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
import structlog
from flask import Flask, Response, g, request
from flask.json.provider import JSONProvider
from gunicorn.http.errors import ParseException
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from secure import (
    ContentSecurityPolicy,
    CrossOriginOpenerPolicy,
    ReferrerPolicy,
    Secure,
    StrictTransportSecurity,
    XContentTypeOptions,
    XFrameOptions,
)
from werkzeug.exceptions import HTTPException

from shared.contracts.api import RIDES_ALONG
from shared.errors import DiskFull, MalformedRequest, ServiceError, is_disk_full
from shared.parsing_limits import MAX_DETAILS

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
    "insufficient_data": 422,
    "leak_found": 422,
    "no_signal": 422,
    "feature_missing": 409,
    "rate_limited": 429,
    "corrupt_model": 500,
    "corrupt_backup": 500,
    "internal": 500,
    "service_error": 500,
    "service_unavailable": 503,
    "disk_full": 503,
}
_HTTP_CODES = {
    400: ("malformed_request", "The request can't be read."),
    404: ("not_found", "Route not found"),
    405: ("method_not_allowed", "This route does not answer that method."),
    413: ("too_large", "The body is larger than this server accepts."),
    415: ("unsupported_media_type", "Send JSON with Content-Type: application/json."),
    429: ("rate_limited", "Too many requests; try again later."),
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
RETRY_AFTER_S = 5
POLICY = "Content-Security-Policy"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = structlog.get_logger()


class OrjsonProvider(JSONProvider):
    """JSON by orjson: fast, and never NaN or Infinity on the wire (both become null)."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return _dumped(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(_dumped(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


def _dumped(obj: Any) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_NON_STR_KEYS)


def request_id() -> str:
    """The id of the request being served: the caller's if it sent a sane one, else a new one."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    return str(g.request_id)


def _riders() -> dict[str, list[str]]:
    given = request.headers.get(RIDES_ALONG, "").split(",")
    others = [each for each in given if _REQUEST_ID.fullmatch(each)]
    return {"rides_along": others} if others else {}


def error_response(error: ServiceError) -> Response:
    """The one body of every failure."""
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


class _Http(ServiceError):
    """A failure that Flask itself found (unknown route, wrong method, body too large)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _on_http_exception(error: HTTPException) -> Response:
    if error.response is not None:
        return error.response  # type: ignore[return-value]  # abort(response): already ours
    if error.code is not None and error.code < 400:
        return error.get_response()  # type: ignore[return-value]  # a redirect
    code, message = _HTTP_CODES.get(error.code or 500, ("malformed_request", "The request can't be served."))
    response = error_response(_Http(code, message))
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _on_broken_body(_: Exception) -> Response:
    # gunicorn reads a chunked body while we do, and finds then that it is none.
    return error_response(MalformedRequest("The body breaks off or is no valid chunked body."))


def _on_unknown(error: Exception) -> Response:
    if is_disk_full(error):
        log.error("disk_full", path=request.path)
        return error_response(DiskFull())
    log.exception("unhandled", path=request.path, method=request.method)
    return error_response(_Http("internal", "Something went wrong here. The request id finds it in the log."))


def security_headers(*, behind_tls: bool) -> Secure:
    """What Helmet sent on the old backend, with a policy that needs no inline script."""
    policy = ContentSecurityPolicy().default_src("'self'").img_src("'self'", "data:").object_src("'none'")
    policy = policy.base_uri("'self'").frame_ancestors("'none'").form_action("'self'")
    return Secure(
        csp=policy,
        coop=CrossOriginOpenerPolicy().same_origin(),
        referrer=ReferrerPolicy().no_referrer(),
        xcto=XContentTypeOptions().nosniff(),
        xfo=XFrameOptions().deny(),
        hsts=StrictTransportSecurity().max_age(31_536_000) if behind_tls else None,
    )


class _Metrics:
    """Counts and times per route, with bounded labels: the route's rule, never its path."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("http_requests_total", "Requests served", labels, registry=self.registry)
        self.seconds = Histogram("http_request_seconds", "Time to answer", ("route",), registry=self.registry)
        # Finding a line by its labels takes longer than counting in it.
        self._lines = cache(lambda *labels: (self.requests.labels(*labels), self.seconds.labels(labels[1])))

    def count(self, method: str, route: str, status: int, took_s: float) -> None:
        """Count one answer."""
        requests, seconds = self._lines(method, route, status)
        requests.inc()
        seconds.observe(took_s)


def install_defaults(app: Flask, *, behind_tls: bool = False, for_browsers: bool = True) -> None:
    """Install on a Flask app what both services have in common.

    Adds `X-Request-ID`, one log line per request, the one error body, `/metrics` and, where browsers see its answers,
    security headers.
    """
    app.json = OrjsonProvider(app)
    # Nothing here is a coroutine; asking that of each function on every request costs 1 to 2 % of it.
    app.ensure_sync = lambda func: func  # type: ignore[method-assign]
    metrics = _Metrics()
    headers = tuple(security_headers(behind_tls=behind_tls).headers.items()) if for_browsers else ()
    app.extensions["metrics_registry"] = metrics.registry
    app.register_error_handler(ServiceError, error_response)
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(ParseException, _on_broken_body)
    app.register_error_handler(Exception, _on_unknown)

    @app.before_request
    def _start() -> None:
        g.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id())

    @app.after_request
    def _finish(response: Response) -> Response:
        response.headers["X-Request-ID"] = request_id()
        if POLICY in response.headers:  # a page with a policy of its own
            for name, value in headers:
                response.headers.setdefault(name, value)
        else:
            response.headers.extend(headers)
        took_s = time.perf_counter() - g.get("started", time.perf_counter())
        route = request.url_rule.rule if request.url_rule else "unknown"
        # A method is whatever a client makes up; a label may not be.
        method = request.method if request.method in METHODS else "other"
        metrics.count(method, route, response.status_code, took_s)
        told = {"method": request.method, "path": request.path, "status": response.status_code}
        log.info("request", **told, ms=round(took_s * 1000, 1), **_riders())
        return response

    def metrics_page() -> Response:
        return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)

    app.add_url_rule("/metrics", view_func=metrics_page)
