"""Guards every route, in this order: address, limit, token or key, role, scope, query, body; adds CORS headers.

`authentication` answers 401, `roles` 403, `limits` 429.

Law: no body is read before its sender is authorised; a route without an entry in `roles` is not served.
"""

from __future__ import annotations

import re

from flask import Flask, Response, request
from flask_cors.core import get_cors_options, set_cors_headers

from database.engine.session import Database
from gateway.security import bodies, limits, queries, roles, tokens
from gateway.security.authentication import CurrentUser, current_user
from gateway.security.proxies import NamedProxies
from gateway.security.roles import scopes_of
from gateway.settings import Settings

__all__ = ["CurrentUser", "complete", "current_user", "install", "scopes_of"]

ALLOWED_HEADERS = (
    "Content-Type", "Authorization", "X-API-Key", "Prefer", "Idempotency-Key", "If-None-Match", "X-Request-ID",
    tokens.CSRF_HEADER,
)  # fmt: skip
EXPOSED_HEADERS = ("Location", "Retry-After", "X-Request-ID", *limits.HEADERS, "ETag", "Idempotent-Replayed")
PREFLIGHT_LIFE_S = 600


def install(app: Flask, settings: Settings, database: Database) -> None:
    """Install the guards, after the error handlers and before the routes.

    Call `complete(app)` after the last route.

    Raises
    ------
    InvalidInput
        A limit in the settings can't be read.
    """
    if settings.trusted_proxies:
        app.wsgi_app = NamedProxies(  # type: ignore[method-assign]
            app.wsgi_app, hops=settings.trusted_proxies, addresses=settings.proxy_addresses
        )
    tokens.install(app, settings)
    limiter = limits.Limiter(settings, database)

    @app.before_request
    def _guard() -> None:
        # A preflight carries no token; Flask answers an unknown path or method, whoever the caller is.
        if request.method == "OPTIONS":
            return
        limiter.count()
        if request.url_rule is not None:
            roles.admit()
            queries.check()
            bodies.check()

    app.after_request(limiter.write_headers)
    app.after_request(_forbid_caching)
    _allow_origins(app, settings)


def complete(app: Flask) -> None:
    """Check that every route has its role, and note what each declares; called after the last route.

    Raises
    ------
    LookupError
        The table of roles lacks routes; names them.
    """
    roles.require_roles(app)
    queries.install(app)


def _forbid_caching(response: Response) -> Response:
    # Any answer can contain personal data or secrets; a route with its own rule has set the header already.
    if request.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _allow_origins(app: Flask, settings: Settings) -> None:
    # The library treats an origin with brackets (IPv6 only) as a pattern, so it gets an escaped one.
    origins = [
        re.compile(f"{re.escape(origin)}\\Z", re.IGNORECASE) if "[" in origin else origin
        for origin in settings.allowed_origins
    ]
    options = get_cors_options(
        app,
        {
            "origins": origins,
            "supports_credentials": True,
            "allow_headers": list(ALLOWED_HEADERS),
            "expose_headers": list(EXPOSED_HEADERS),
            "max_age": PREFLIGHT_LIFE_S,
        },
    )
    with app.test_request_context():
        bare = Response()
        before = len(bare.headers)
        # All requests without an Origin get these headers; computing them takes a twentieth of a request's time.
        without_origin = list(set_cors_headers(bare, options).headers)[before:]

    @app.after_request
    def _write(response: Response) -> Response:
        if not request.path.startswith("/api/"):
            return response
        if "Origin" in request.headers or request.method == "OPTIONS":
            return set_cors_headers(response, options)
        response.headers.extend(without_origin)
        return response
