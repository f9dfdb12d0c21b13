"""Builds the Flask app of the web process.

Law: importing this module creates nothing; `create_app` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask
from flask_openapi import APIBlueprint

from database.engine.session import Database
from database.engine.waiting import Waiting
from gateway import form_files, openapi, url_paths, web_environment
from gateway.clients.ml_client import MLClient
from gateway.environment import open_environment
from gateway.routes.blueprints import ALL_BLUEPRINTS
from gateway.security import guards
from gateway.services.maintenance.gauges import SystemCollector
from gateway.settings import Settings, load_settings
from shared.clock import Clock, utc_now
from shared.web.flask_app import install_defaults
from shared.web.logs import configure_logs

MEGABYTE = 1024 * 1024
#: Database pages that each connection keeps: SQLite's own default. The web process has a connection for each thread,
#: and what is asked again is answered from `query_cache`.
CACHE_MB = 2
#: A request waits this long for the write lock, then answers 503.
WRITE_WAIT_S = 5.0


def create_app(
    settings: Settings | None = None,
    *,
    clock: Clock = utc_now,
    database: Database | None = None,
    ml: MLClient | None = None,
    blueprints: Sequence[APIBlueprint] = ALL_BLUEPRINTS,
) -> Flask:
    """Build the web process.

    Parameters
    ----------
    settings
        Read from the environment if absent.
    clock, database, ml
        Passed to `open_environment`.
    blueprints
        The routes to serve.

    Raises
    ------
    InvalidInput
        The settings can't be used; in production that includes default secrets.
    NotOurDatabase
        The file at DATABASE_PATH belongs to another program.
    """
    settings = settings or load_settings()
    configure_logs(service="gateway", level=settings.log_level, json_lines=settings.log_format == "json")
    # Half of the threads can wait for the write lock: the other half keeps answering reads.
    waiting = Waiting(WRITE_WAIT_S, places=settings.threads // 2)
    environment = open_environment(settings, clock=clock, database=database, ml=ml, waiting=waiting, cache_mb=CACHE_MB)
    app = openapi.make_app("gateway")
    url_paths.install(app)
    form_files.install(app, settings.data_folder)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_mb * MEGABYTE
    web_environment.install(app, environment)
    install_defaults(app, behind_tls=settings.behind_tls, metrics_token=settings.token_of_metrics)
    if settings.metrics_token is not None or settings.app_env != "production":
        app.extensions["metrics_registry"].register(SystemCollector(environment))
    guards.install(app, settings, environment.database)
    for each in blueprints:
        app.register_api(each)
    openapi.serve_docs(app, guards.scopes_of)
    guards.complete(app)
    return app
