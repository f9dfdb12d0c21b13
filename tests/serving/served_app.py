"""A small application for tests of the server that both services run in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

from flask import Flask, Response, request, send_file

from shared.web.flask_app import install_defaults
from shared.web.logs import configure_logs

LARGE = 1_400_000


def make_app() -> Flask:
    """Answers little, much, a file, a stream; takes bodies and leaves them."""
    configure_logs(service="small", level="error")
    app = Flask("small")
    install_defaults(app)
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"x" * LARGE)

    @app.get("/health")
    def health() -> str:
        return f"{os.getpid()} {request.script_root}"

    @app.post("/body")
    def body() -> str:
        return str(len(request.get_data()))

    @app.post("/unread")
    def unread() -> tuple[str, int]:
        return "no", 401

    @app.get("/large")
    def large() -> str:
        return "x" * LARGE

    @app.get("/file")
    def sent_file() -> Response:
        return send_file(file.name)

    @app.get("/stream")
    def stream() -> Response:
        def parts() -> Iterator[bytes]:
            for _ in range(200):
                yield b"x" * 64 * 1024

        return Response(parts())

    return app
