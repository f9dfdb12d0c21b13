"""`python -m ml_service`: serve on the configured address, by gunicorn.

Law: what is wrong with the configuration is one sentence on standard error, never a traceback.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys

from ml_service.settings import Settings, SettingsError, load_settings


def command(settings: Settings, *, reload: bool) -> list[str]:
    """The gunicorn command line. One worker: versions in memory and the one training belong to one process."""
    line = [
        sys.executable,
        "-m",
        "gunicorn",
        "ml_service.app:create_app()",
        # Two services of one user would otherwise share one control socket under HOME.
        "--no-control-socket",
        "--worker-class",
        "gthread",
        "--workers",
        "1",
        "--threads",
        str(settings.ml_request_threads),
        "--bind",
        f"{settings.ml_host}:{settings.python_port}",
        "--keep-alive",
        "75",
        "--graceful-timeout",
        "10",
        "--timeout",
        "120",
    ]
    return [*line, "--reload"] if reload else line


def why_not(settings: Settings) -> str | None:
    """Why the address can't be bound; None where it can."""
    host, port = settings.ml_host, settings.python_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As gunicorn does: a port whose last connection has just closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == 98:
                return f"Port {port} on {host} is taken; end what listens there or set PYTHON_PORT to a free port."
            return f"The ML service can't listen on {host}:{port} ({error.strerror}); check ML_HOST and PYTHON_PORT."
    return None


def main(arguments: list[str] | None = None) -> int:
    """Replace this process by gunicorn; 1 where it can't start."""
    parser = argparse.ArgumentParser(prog="python -m ml_service", description="Serve the ML service.")
    parser.add_argument("--reload", action="store_true", help="start anew when a source file changes (development)")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"The settings can't be used: {error}", file=sys.stderr)
        return 1
    problem = why_not(settings)
    if problem is None:
        line = command(settings, reload=options.reload)
        os.environ.setdefault("OMP_NUM_THREADS", str(settings.ml_serving_threads))
        os.execv(line[0], line)
    print(problem, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
