"""Defaults of both services' Flask apps: JSON, logs, metrics, security headers, error responses."""

from __future__ import annotations

import time
from typing import Any

import orjson
import structlog
from flask import Flask, Response, g, request
from flask.json.provider import JSONProvider
from prometheus_client import generate_latest
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

from shared.errors import Unauthenticated
from shared.web.error_responses import methods_of_path, register_error_handlers
from shared.web.metrics import RequestMetrics, is_allowed
from shared.web.request_ids import coalesced_request_ids, request_id

POLICY = "Content-Security-Policy"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = structlog.get_logger()


class OrjsonProvider(JSONProvider):
    """JSON by orjson: fast, and NaN and Infinity become null."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return _dumped(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(_dumped(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


def _dumped(obj: Any) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_NON_STR_KEYS)


def security_headers(*, behind_tls: bool) -> Secure:
    """Return the headers that Helmet set in the old backend, with a policy without inline scripts."""
    policy = ContentSecurityPolicy().default_src("'self'").img_src("'self'", "data:").object_src("'none'")
    policy = policy.base_uri("'none'").frame_ancestors("'none'").form_action("'self'")
    return Secure(
        csp=policy,
        coop=CrossOriginOpenerPolicy().same_origin(),
        referrer=ReferrerPolicy().no_referrer(),
        xcto=XContentTypeOptions().nosniff(),
        xfo=XFrameOptions().deny(),
        hsts=StrictTransportSecurity().max_age(31_536_000).include_subdomains() if behind_tls else None,
    )


def _allow_own_methods(app: Flask) -> None:
    as_flask_does = app.make_default_options_response

    def options_response() -> Response:
        response = as_flask_does()
        response.allow = sorted(methods_of_path()) or response.allow
        return response

    app.make_default_options_response = options_response  # type: ignore[method-assign]


#: The name of the `RecentRequests` among an app's extensions.
RECENT = "recent_requests"


def install_defaults(
    app: Flask, *, behind_tls: bool = False, for_browsers: bool = True, metrics_token: str | None = None
) -> None:
    """Install the defaults of both services on a Flask app.

    Adds `X-Request-ID`, one log line per request, the error body, `/metrics` and, for browsers, security headers.

    Parameters
    ----------
    metrics_token
        Bearer token for reading `/metrics`; None where anybody may.
    """
    app.json = OrjsonProvider(app)
    # `//` is not `/`: Flask would redirect such a request to whatever host it names.
    app.url_map.merge_slashes = False
    # No view is a coroutine; checking that on every request would take 1 to 2 % of its time.
    app.ensure_sync = lambda func: func  # type: ignore[method-assign]
    metrics = RequestMetrics()
    headers = tuple(security_headers(behind_tls=behind_tls).headers.items()) if for_browsers else ()
    app.extensions |= {"metrics_registry": metrics.registry, RECENT: metrics.recent}
    register_error_handlers(app)
    _allow_own_methods(app)

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
        # A client can invent methods; labels must be bounded.
        method = request.method if request.method in METHODS else "other"
        metrics.count(method, route, response.status_code, took_s, waited_s=g.get("waited_s", 0.0))
        line = {"method": request.method, "path": request.path, "status": response.status_code}
        log.info("request", **line, ms=round(took_s * 1000, 1), **coalesced_request_ids())
        return response

    def metrics_page() -> Response:
        if not is_allowed(request.headers.get("Authorization"), metrics_token):
            raise Unauthenticated("Send METRICS_TOKEN as a bearer token.")
        return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)

    app.add_url_rule("/metrics", view_func=metrics_page)
