"""`python -m ml_service`: serve on the configured address with gunicorn, or tell the settings in force."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict

from ml_service.settings import SettingsError, load_settings
from shared import setting_sources
from shared.commands.printing import echo
from shared.web.gunicorn import serve, why_not


def main(arguments: list[str] | None = None) -> int:
    """Replace this process with gunicorn; return 1 if it can't start, 0 once the settings are printed."""
    parser = argparse.ArgumentParser(prog="python -m ml_service", description="Serve the ML service.")
    parser.add_argument("--reload", action="store_true", help="restart when a source file changes (for development)")
    parser.add_argument("--settings", action="store_true", help="print the settings in force as JSON, and end")
    os.umask(0o077)  # only the owner can read models and the files of trainings
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
    except SettingsError as error:
        echo(f"The settings can't be used: {error}", err=True)
        return 1
    if options.settings:
        echo(json.dumps([asdict(each) for each in setting_sources.in_force(settings)]))
        return 0
    host, port = settings.ml_host, settings.python_port
    problem = why_not(host, port, "PYTHON_PORT")
    if problem is not None:
        echo(problem, err=True)
        return 1
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.ml_serving_threads))
    return serve(
        "ml_service.app:create_app",
        host=host,
        port=port,
        threads=settings.ml_request_threads,
        reload=options.reload,
        json_logs_of="ml" if settings.log_format == "json" else None,
    )


if __name__ == "__main__":
    sys.exit(main())
