"""create_app: assembles the ML service.

Law: importing this creates nothing, and a caller is authenticated before the body of its request is read.
"""

from __future__ import annotations

import hmac

import structlog
from flask import Flask, request

from ml_service.api.routes import blueprint
from ml_service.api.service import MLService
from ml_service.model.registry import Registry
from ml_service.settings import Settings, load_settings
from ml_service.training.process import Trainer
from shared.errors import TokenRejected, Unauthenticated
from shared.web.flask_app import install_defaults
from shared.web.logs import configure_logs

log = structlog.get_logger()


def create_app(settings: Settings | None = None) -> Flask:
    """Create the ML service as a WSGI application.

    Parameters
    ----------
    settings : Settings, optional
        Read from the environment if absent.

    Raises
    ------
    SettingsError
        If a variable is wrong, or no token is set in production.
    """
    settings = settings or load_settings()
    configure_logs(service="ml", level=settings.log_level, json_lines=settings.log_format == "json")
    if settings.registry_note is not None:
        log.info("model_path", folder=str(settings.registry_folder), note=settings.registry_note)
    app = Flask("ml_service", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.ml_max_upload_mb * 2**20
    # Only the gateway calls this service; headers for browsers are added there.
    metrics_token = None if settings.metrics_token is None else settings.metrics_token.get_secret_value()
    install_defaults(app, for_browsers=False, metrics_token=metrics_token)
    _guard(app, settings.service_token, own_token=frozenset({"/metrics"} if metrics_token is not None else ()))
    registry = Registry(settings.registry_folder, cached=settings.ml_model_cache, threads=settings.ml_serving_threads)
    trainer = Trainer(registry, threads=settings.ml_threads, log_level=settings.log_level)
    service = MLService(registry, trainer, first_version=settings.model_version)
    app.extensions["ml_service"] = service
    app.register_blueprint(blueprint)
    registry.sweep()
    problem = service.problem()
    log.info("started", folder=str(registry.folder), version=registry.newest(), problem=problem)
    return app


def _guard(app: Flask, token: str, *, own_token: frozenset[str]) -> None:
    expected = f"Bearer {token}".encode()
    paths = blueprint.public_paths

    @app.before_request
    def _authenticate() -> None:
        if request.path in own_token:
            return
        given = request.headers.get("Authorization", "").strip()
        # A wrong token is refused on public paths too, because a health check with a token comes from a gateway.
        # Without a token, a wrong method on a public path is answered with 405.
        if request.path in paths and not given:
            return
        if not given or given.lower() == "bearer":
            raise Unauthenticated("Access token required")
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected):
            raise TokenRejected("Invalid or expired token")
